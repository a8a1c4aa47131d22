//! What webhooks need of this process: the way out, and secrets.

use std::sync::Arc;

use async_trait::async_trait;
use ipnet::IpNet;
use stepwright_executor::Egress;
use stepwright_executor::egress::check_address;
use stepwright_orchestrator::feed::Feed;
use stepwright_orchestrator::webhooks::{self, Courier, Webhooks};
use stepwright_store::Store;
use tokio::sync::Notify;

use crate::clock::{random, random_bits};
use crate::compose;
use crate::context::Context;
use crate::error::CliError;

/// Checks addresses, and sends where there is a way out.
pub(crate) struct Sender {
    networks: Vec<IpNet>,
    egress: Option<Egress>,
}

impl Sender {
    /// One that only checks.
    pub(crate) fn checking(context: &Context) -> Self {
        Self { networks: context.config.webhook_networks.clone(), egress: None }
    }
}

#[async_trait]
impl Courier for Sender {
    async fn post(&self, url: &str, headers: &[(&str, String)], body: String) -> Result<u16, String> {
        let egress = self.egress.as_ref().ok_or_else(|| "this process sends nothing".to_owned())?;
        egress.post(url, headers, body, &self.networks).await
    }

    fn check(&self, url: &str) -> Result<(), String> {
        check_address(url, &self.networks).map_err(|why| {
            let about =
                if why.contains("network") { " (the setting webhooks.networks names networks)" } else { "" };
            format!("{why}{about}")
        })
    }
}

/// Speaks for the webhooks of a store, once it is run. `changed` is whatever may be about them.
pub(crate) fn speaker(
    context: &Context,
    holder: &str,
    (store, feed): (Arc<dyn Store>, Arc<Feed>),
    changed: Arc<Notify>,
) -> Result<Webhooks, CliError> {
    let egress = Some(compose::egress(context)?);
    Ok(Webhooks {
        store,
        feed,
        courier: Arc::new(Sender { egress, ..Sender::checking(context) }),
        clock: context.clock.clone(),
        random: random(),
        holder: holder.to_owned(),
        changed,
    })
}

/// A new secret.
pub(crate) fn secret() -> Result<String, CliError> {
    Ok(webhooks::secret(&random_bits()?))
}
