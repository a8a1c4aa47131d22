//! The suite that every engine runs. Written beside the first engine.
