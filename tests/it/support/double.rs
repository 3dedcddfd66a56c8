//! Servers that stand in for those of others.

use std::sync::LazyLock;

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs8::EncodePublicKey;

use super::background;

/// A key that a provider's portal shows, for what is sealed or signed with it; nobody opens that here.
pub static PORTAL_KEY: LazyLock<String> = LazyLock::new(|| {
    let portal = rsa::PrivateKey::new(&mut rand::rng(), 1024).unwrap();
    let der = rsa::PublicKey::from(&portal).to_public_key_der().unwrap();
    STANDARD.encode(der.as_bytes())
});

/// Starts one that answers every request so; its URL.
pub fn serve<A, R>(answer: A) -> String
where
    A: Fn(HttpRequest, Bytes) -> R + Clone + Send + 'static,
    R: Future<Output = HttpResponse> + 'static,
{
    background(async move {
        let server = HttpServer::new(move || App::new().default_service(web::to(answer.clone())));
        let server = server.workers(1).bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        tokio::spawn(server.disable_signals().run());
        url
    })
}
