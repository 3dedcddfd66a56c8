//! `reserveflow demo`: the service as a newcomer tries it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use reserveflow::config::Config;
use reserveflow::service::reachable;

use super::serve;

const CONFIG: &str = "\
care_phone: \"+254709000000\"
service_codes: [\"*384*7#\"]
aggregators: { africastalking: { tokens: [demo] } }
sms: { route: sandbox }
payments: { sandbox: true }
";

#[derive(clap::Args)]
pub(crate) struct DemoArgs {
    /// Where aggregators would reach the service.
    #[arg(long, default_value = "127.0.0.1:8080")]
    public: SocketAddr,
    /// Where the phone, health and metrics are.
    #[arg(long, default_value = "127.0.0.1:8081")]
    private: SocketAddr,
    /// The folder of the private Postgres and Redis. Default: ./data, or /var/lib/reserveflow for root.
    #[arg(long)]
    data: Option<PathBuf>,
}

pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    serve::log("warn");
    let signals = serve::Signals::catch()?;
    let mut config = Config::parse(CONFIG, "demo", HashMap::new())?;
    (config.public, config.private, config.data, config.sample) =
        (args.public, args.private, args.data, true);
    let code = config.service_codes[0].clone();
    let (service, stores) = serve::start(config).await?;
    let (public, private) = (reachable(service.public), reachable(service.private));
    println!(
        "ReserveFlow is running, with sample lodgings in Kenya, Uganda, Tanzania, Rwanda, Nigeria and Ghana.

  A phone in the browser   http://{private}/
  Dial the short code      {code}
  A phone in the terminal  reserveflow dial '{code}' --msisdn +254711000001 --public http://{public}
  Callbacks                http://{public}/ussd/africastalking/demo
  The REST API             curl -H 'Authorization: Bearer demo' http://{public}/v1/places
  Health and metrics       http://{private}/health/ready  http://{private}/metrics

Ctrl-C stops it."
    );
    serve::until_stopped(service, stores, signals, Duration::ZERO).await
}
