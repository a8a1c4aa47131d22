//! Reading and checking templates.
