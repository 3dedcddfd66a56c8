//! The least that could answer such a call: a bare handler that reads the form, asks Redis once and tells it once.

use std::net::SocketAddr;
use std::process::ExitCode;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use reserveflow::service::PUBLIC_WORKERS;

use super::process::LISTENING;

const TTL_SECONDS: u64 = 600;

/// Settings of the floor.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    redis: String,
}

pub(in super::super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = redis::Client::open(args.redis)?;
    let connection = Data::new(client.get_multiplexed_async_connection().await?);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(connection.clone())
            .service(web::resource("/ussd/{aggregator}/{token}").to(answer))
    })
    .workers(PUBLIC_WORKERS)
    .bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    println!("{LISTENING}{}", server.addrs()[0]);
    server.run().await?;
    Ok(ExitCode::SUCCESS)
}

/// What was said by the call before it.
async fn answer(connection: Data<MultiplexedConnection>, body: Bytes) -> HttpResponse {
    let (mut session, mut text) = (String::new(), String::new());
    for (name, value) in form_urlencoded::parse(&body) {
        match &*name {
            "sessionId" => session = value.into_owned(),
            "text" => text = value.into_owned(),
            _ => {}
        }
    }
    let mut connection = MultiplexedConnection::clone(&connection);
    let key = format!("session:{{{session}}}");
    let kept: redis::RedisResult<Option<String>> = connection.get(&key).await;
    let Ok(before) = kept else {
        return HttpResponse::InternalServerError().finish();
    };
    if connection
        .set_ex::<_, _, ()>(&key, text, TTL_SECONDS)
        .await
        .is_err()
    {
        return HttpResponse::InternalServerError().finish();
    }
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body(format!("CON You said: {}", before.unwrap_or_default()))
}
