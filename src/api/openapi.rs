//! The API described by its own types, as `OpenAPI` 3.1, and a page to try it.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use serde::Serialize;
use utoipa::openapi::content::Content;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, Schema};
use utoipa::{Modify, OpenApi, ToSchema};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::property::ALWAYS;
use super::{changes, manage, operations, places, problem, properties, property, reservations};

/// A refusal, as RFC 9457 has it. More members say what would work instead.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
struct ProblemShown {
    /// `urn:reserveflow:problem:` and a word.
    r#type: String,
    /// What the status says.
    title: String,
    /// The status.
    status: u16,
    /// What is wrong, for whoever writes the client.
    detail: String,
    /// Names this answer in our log.
    instance: String,
}

/// All of it.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "ReserveFlow",
        description = "The offline-first API. Every answer is `{data, _metadata}`; `_metadata.checksum` is the CRC-32 of `data` in \
                       the canonical JSON of RFC 8785. Every refusal is a problem of RFC 9457. In the demo the key is `demo`.",
    ),
    paths(
        properties::list,
        properties::find,
        changes::list,
        places::list,
        reservations::find,
        operations::work,
        manage::show,
        manage::put,
        manage::patch,
        manage::property_file,
        manage::property_file_change,
        manage::calendar::show,
        manage::calendar::change,
        manage::calendar::csv,
        manage::calendar::csv_change,
        manage::calendar::closures,
        manage::calendar::close,
        manage::calendar::open,
        manage::ical::export,
        manage::ical::import,
        manage::feed::make,
        manage::feed::end,
        manage::feed::show,
        manage::events::list,
    ),
    components(schemas(ProblemShown, property::Property, operations::Operation, operations::OperationAnswer)),
    security(("key" = [])),
    modifiers(&Common),
)]
struct Description;

/// What all have in common: the key, and how they refuse.
struct Common;

impl Modify for Common {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        if let Some(components) = &mut openapi.components {
            components.add_security_scheme("key", SecurityScheme::Http(bearer));
            // What `fields` does not name is left out.
            if let Some(RefOr::T(Schema::Object(property))) = components.schemas.get_mut("Property")
            {
                property.required = ALWAYS.map(str::to_owned).to_vec();
            }
        }
        let shown = Content::from(
            ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name("Problem")))),
        );
        let refused = ResponseBuilder::new()
            .description("Refused")
            .content(problem::CONTENT_TYPE, shown)
            .build();
        for path in openapi.paths.paths.values_mut() {
            for operation in [
                &mut path.get,
                &mut path.put,
                &mut path.post,
                &mut path.patch,
                &mut path.delete,
            ]
            .into_iter()
            .flatten()
            {
                // What a function fails with is for whoever reads the code.
                operation.description = operation.description.take().and_then(|text| {
                    let (said, _) = text.split_once("# Errors").unwrap_or((&text, ""));
                    Some(said.trim().to_owned()).filter(|said| !said.is_empty())
                });
                let responses = &mut operation.responses.responses;
                responses.insert("default".to_owned(), RefOr::T(refused.clone()));
            }
        }
    }
}

static WRITTEN: LazyLock<String> =
    LazyLock::new(|| Description::openapi().to_json().unwrap_or_default());

/// Answers with the description.
pub async fn show() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .content_type("application/json")
        .body(WRITTEN.as_str())
}

/// Leads to the page.
pub async fn to_page() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((LOCATION, "/v1/docs/"))
        .finish()
}

/// Swagger UI, from inside the binary.
pub fn page() -> SwaggerUi {
    let config = Config::from("/v1/openapi.json")
        .try_it_out_enabled(true)
        .persist_authorization(true);
    SwaggerUi::new("/docs/{_:.*}").config(config)
}
