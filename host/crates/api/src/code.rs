//! The stable codes of problems. Each has a section in `docs/reference/errors.md`, which is also what the API serves of it.

use axum::http::StatusCode;
use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The sections of all codes.
const PAGES: &str = include_str!("../../../../docs/reference/errors.md");

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:ident, $title:literal;)*) => {
        /// Why a request was not done: for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code's one spelling.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Its status.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The same few words each time, for people.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The request cannot be understood.
    InvalidRequest = "invalid_request", BAD_REQUEST, "The request cannot be understood";
    /// There is no token, or nobody knows it.
    Unauthorized = "unauthorized", UNAUTHORIZED, "A token is needed";
    /// The token does not open this.
    Forbidden = "forbidden", FORBIDDEN, "The token does not open this";
    /// There is no such route.
    NotFound = "not_found", NOT_FOUND, "There is no such route";
    /// There is no such task.
    TaskNotFound = "task_not_found", NOT_FOUND, "There is no such task";
    /// The task has no such step.
    StepNotFound = "step_not_found", NOT_FOUND, "The task has no such step";
    /// There is no such template.
    TemplateNotFound = "template_not_found", NOT_FOUND, "There is no such template";
    /// There is no template of this namespace.
    NamespaceNotFound = "namespace_not_found", NOT_FOUND, "There is no such namespace";
    /// There is no such plugin.
    PluginNotFound = "plugin_not_found", NOT_FOUND, "There is no such plugin";
    /// There is no such batch.
    BatchNotFound = "batch_not_found", NOT_FOUND, "There is no such batch";
    /// There is no such worker.
    /// There is no such token.
    TokenNotFound = "token_not_found", NOT_FOUND, "There is no such token";
    /// There is no such webhook.
    WebhookNotFound = "webhook_not_found", NOT_FOUND, "There is no such webhook";
    /// Events from that position on are not kept any more.
    EventsExpired = "events_expired", GONE, "These events are not kept any more";
    /// The route knows other methods.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The route does not know this method";
    /// The body did not arrive in time.
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "The body did not arrive in time";
    /// The state of things does not allow it.
    Conflict = "conflict", CONFLICT, "Not possible as things stand";
    /// The same name was registered with another content.
    AlreadyExists = "already_exists", CONFLICT, "It is there already";
    /// The body is larger than allowed.
    PayloadTooLarge = "payload_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The body has a type that the route does not read.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body has another type";
    /// A task cannot be started with this.
    InvalidContext = "invalid_context", UNPROCESSABLE_ENTITY, "A task cannot be started with this";
    /// The template has mistakes, or does not fit the registered plugins.
    InvalidTemplate = "invalid_template", UNPROCESSABLE_ENTITY, "The template cannot be used";
    /// The component cannot be a plugin.
    InvalidPlugin = "invalid_plugin", UNPROCESSABLE_ENTITY, "The component cannot be a plugin";
    /// Too many requests, or too many waits at once.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    /// The host is broken.
    Internal = "internal", INTERNAL_SERVER_ERROR, "The host failed";
    /// The database is away, or the process is stopping.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Not available now";
}

impl Code {
    /// The code with this spelling.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// Where its page is, relative to the API.
    pub fn url(self) -> String {
        format!("/v1/errors/{}", self.as_str())
    }

    /// Its page: when it comes, and what to do.
    pub fn page(self) -> Option<&'static str> {
        let heading = format!("\n## {}\n", self.as_str());
        let rest = &PAGES[PAGES.find(&heading)? + heading.len()..];
        Some(rest.split("\n## ").next().unwrap_or(rest).trim())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let words = Self::ALL.iter().map(|code| code.as_str());
        let described =
            "The stable code of a problem. `/v1/errors/{code}` says when it comes and what to do.";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(words))
            .description(Some(described))
            .into()
    }
}

impl ToSchema for Code {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_page_and_every_page_its_code() {
        for code in Code::ALL {
            let page =
                code.page().unwrap_or_else(|| panic!("errors.md has no section '## {}'", code.as_str()));
            assert!(page.starts_with(&format!("{}: ", code.status().as_u16())), "{}: {page}", code.as_str());
            assert_eq!(Code::find(code.as_str()), Some(*code));
        }
        let sections = PAGES.lines().filter_map(|line| line.strip_prefix("## "));
        assert!(sections.clone().all(|section| Code::find(section).is_some()));
        assert_eq!(sections.count(), Code::ALL.len());
        assert_eq!(Code::find("nonsense"), None);
    }
}
