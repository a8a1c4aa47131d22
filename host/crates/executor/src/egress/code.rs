//! Why a body broke off, in the guest's words.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

use crate::state::StepState;

/// The interface as the library links it.
const TYPES: &str = "wasi:http/types@0.2.12";

/// Replaces the library's `http-error-code`, which does not know the library's own errors in bodies.
pub(crate) fn link(linker: &mut Linker<StepState>) -> wasmtime::Result<()> {
    let look = |mut store: StoreContextMut<'_, StepState>, (error,): (Resource<wasmtime::Error>,)| {
        let error = store.data_mut().ctx().table.get(&error)?;
        let own = error.downcast_ref::<Error>().and_then(code);
        Ok((own.or_else(|| error.downcast_ref::<ErrorCode>().cloned()),))
    };
    linker.instance(TYPES)?.func_wrap("http-error-code", look)
}

/// The errors with which bodies end here.
fn code(error: &Error) -> Option<ErrorCode> {
    match error {
        Error::HttpResponseBodySize(size) => Some(ErrorCode::HttpResponseBodySize(*size)),
        Error::HttpResponseIncomplete => Some(ErrorCode::HttpResponseIncomplete),
        Error::ConnectionReadTimeout => Some(ErrorCode::ConnectionReadTimeout),
        _ => None,
    }
}
