//! What is known of a component before wasmtime looks at it: that it is small and flat enough to be looked at.

use wasmparser::{Parser, Payload};

use crate::engine::EngineOptions;

/// The deepest that components may lie in each other. Toolchains nest two or three deep, compositions of components some more;
/// what wasmtime does with them takes time that grows with the depth's square.
const NESTED_MAX: usize = 64;

/// Why a component is not looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAdmitted {
    /// It is larger than what is compiled.
    #[error("the component has {bytes} bytes, the limit is {max}")]
    TooLarge { bytes: usize, max: usize },
    /// Its parts lie in each other deeper than is looked at.
    #[error("the component's parts are nested more than {max} deep")]
    Nested { max: usize },
}

/// Whether a component may be looked at. Takes one pass over the heads of its sections.
pub(crate) fn admit(options: &EngineOptions, component: &[u8]) -> Result<(), NotAdmitted> {
    let max = options.component_bytes_max;
    if component.len() > max {
        return Err(NotAdmitted::TooLarge { bytes: component.len(), max });
    }
    let mut depth = 0_usize;
    // What cannot be read any further is wasmtime's to refuse, with its own words.
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        match payload {
            Payload::ComponentSection { .. } | Payload::ModuleSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTED_MAX {
            return Err(NotAdmitted::Nested { max: NESTED_MAX });
        }
    }
    Ok(())
}
