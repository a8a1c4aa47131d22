//! Components in OCI registries: pulled by tag or digest, and pushed, in the layout that other WebAssembly tools share.
//!
//! An artifact has a configuration of `application/vnd.wasm.config.v0+json` and one layer of `application/wasm` (CNCF TAG
//! Runtime, "Wasm OCI Artifact layout"). Signatures travel with it as an annotation of the manifest.

mod failure;
mod login;
mod place;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use oci_client::Client;
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use stepwright_workflow::{Digest, Timestamp, chain};

use crate::signature::{Signature, read_signatures};

pub use failure::OciError;
pub use login::{Login, from_docker_config};
pub use place::{BadPlace, OciPlace};

/// What the configuration of a WebAssembly artifact is.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// What its layer is.
const LAYER: &str = "application/wasm";
/// Where the list of signatures is, as JSON.
const SIGNATURES: &str = "dev.stepwright.signatures";
const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";
const SUMMARY: &str = "org.opencontainers.image.description";

/// How long a registry may take to answer a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long it may be silent within an answer.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A component with what is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The component.
    pub bytes: Bytes,
    /// `namespace/name`; of a pulled one, what its manifest says.
    pub title: String,
    /// Its version; of a pulled one, what its manifest says.
    pub version: String,
    /// One line for a person.
    pub summary: String,
    /// What it imports and exports. A pulled one has none: its bytes say so better.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Who signed it.
    pub signatures: Vec<Signature>,
}

/// A package that was pulled, and the digest of its manifest: by that it can be pulled again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The package.
    pub package: Package,
    /// The manifest's digest, as `sha256:…`.
    pub manifest: String,
}

/// The way to one registry.
pub struct OciRegistry {
    client: Client,
    login: Login,
}

impl OciRegistry {
    /// For a place and a login. Plain HTTP is spoken with this machine, and with hosts that `insecure_hosts` names.
    pub fn new(place: &OciPlace, login: Login, insecure_hosts: &[String]) -> Result<Self, OciError> {
        let plain = place.is_here() || insecure_hosts.iter().any(|host| host == place.host());
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(CONNECT_MAX),
            read_timeout: Some(SILENCE_MAX),
            // A component is the same for every machine: an index over several is none.
            platform_resolver: None,
            user_agent: concat!("stepwright/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| OciError::Client(chain(&error)))?;
        Ok(Self { client, login })
    }

    /// Fetches a component of at most so many bytes, and checks it against its digest.
    pub async fn pull(&self, place: &OciPlace, bytes_max: u64) -> Result<Pulled, OciError> {
        let failed = |error| OciError::of(place, self.login.is_some(), &error);
        let reference = place.reference();
        let pulled = self.client.pull_image_manifest(reference, &self.login.auth()).await;
        let (manifest, digest) = pulled.map_err(failed)?;
        let layer = wasm_layer(place, &manifest)?;
        let wanted: Digest = layer.digest.parse().map_err(|_| OciError::NotWasm {
            place: place.to_string(),
            found: format!("a layer whose digest '{}' is no SHA-256", layer.digest),
        })?;
        let too_large = |bytes| OciError::TooLarge { place: place.to_string(), bytes, bytes_max };
        let told = u64::try_from(layer.size).unwrap_or(u64::MAX);
        if told > bytes_max {
            return Err(too_large(told));
        }
        let mut stream = self.client.pull_blob_stream(reference, layer).await.map_err(failed)?;
        let mut bytes = BytesMut::new();
        while let Some(part) = stream.next().await {
            bytes.extend_from_slice(&part.map_err(|error| failed(error.into()))?);
            // What a manifest tells of a size binds nobody.
            if bytes.len() as u64 > bytes_max {
                return Err(too_large(bytes.len() as u64));
            }
        }
        let bytes = bytes.freeze();
        if Digest::of(&bytes) != wanted {
            return Err(OciError::Corrupt {
                place: place.to_string(),
                reason: format!("it is not {wanted}"),
            });
        }
        Ok(Pulled { package: package(place, &manifest, bytes)?, manifest: digest })
    }

    /// Pushes a component, and returns the digest of its manifest.
    pub async fn push(
        &self,
        place: &OciPlace,
        package: &Package,
        now: Timestamp,
    ) -> Result<String, OciError> {
        let failed = |error| OciError::of(place, self.login.is_some(), &error);
        let layer = ImageLayer::new(package.bytes.clone(), LAYER.to_owned(), None);
        let config = Config::new(configuration(package, now), CONFIG.to_owned(), None);
        let layers = [layer];
        let mut manifest = OciImageManifest::build(&layers, &config, Some(annotations(package)));
        manifest.media_type = Some(OCI_IMAGE_MEDIA_TYPE.to_owned());
        let (reference, auth) = (place.reference(), self.login.auth());
        self.client.push(reference, &layers, config, &auth, Some(manifest)).await.map_err(failed)?;
        self.client.fetch_manifest_digest(reference, &auth).await.map_err(failed)
    }
}

/// The one layer of a WebAssembly artifact.
fn wasm_layer<'a>(place: &OciPlace, manifest: &'a OciImageManifest) -> Result<&'a OciDescriptor, OciError> {
    let config = manifest.config.media_type.as_str();
    match manifest.layers.as_slice() {
        [layer] if config == CONFIG && layer.media_type == LAYER => Ok(layer),
        layers => {
            let kinds: Vec<&str> = layers.iter().map(|layer| layer.media_type.as_str()).collect();
            Err(OciError::NotWasm {
                place: place.to_string(),
                found: format!("a configuration of '{config}' and layers of [{}]", kinds.join(", ")),
            })
        }
    }
}

fn package(place: &OciPlace, manifest: &OciImageManifest, bytes: Bytes) -> Result<Package, OciError> {
    let annotation = |name: &str| manifest.annotations.as_ref().and_then(|all| all.get(name)).cloned();
    let signatures = annotation(SIGNATURES).map(|text| read_signatures(&text)).transpose();
    let signatures = signatures.map_err(|error| OciError::Corrupt {
        place: place.to_string(),
        reason: format!("of its annotation {SIGNATURES}: {error}"),
    })?;
    Ok(Package {
        bytes,
        title: annotation(TITLE).unwrap_or_default(),
        version: annotation(VERSION).unwrap_or_default(),
        summary: annotation(SUMMARY).unwrap_or_default(),
        imports: Vec::new(),
        exports: Vec::new(),
        signatures: signatures.unwrap_or_default(),
    })
}

fn annotations(package: &Package) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([
        (TITLE.to_owned(), package.title.clone()),
        (VERSION.to_owned(), package.version.clone()),
        (SUMMARY.to_owned(), package.summary.clone()),
    ]);
    if !package.signatures.is_empty() {
        let text = serde_json::to_string(&package.signatures).unwrap_or_default();
        annotations.insert(SIGNATURES.to_owned(), text);
    }
    annotations
}

/// The artifact's configuration, as the layout wants it.
fn configuration(package: &Package, now: Timestamp) -> Vec<u8> {
    let text = serde_json::json!({
        "created": now.to_string(),
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [Digest::of(&package.bytes).to_string()],
        "component": { "exports": package.exports, "imports": package.imports, "target": null },
    });
    text.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(config: &str, layers: &[&str]) -> OciImageManifest {
        let descriptor =
            |kind: &str| OciDescriptor { media_type: kind.to_owned(), ..OciDescriptor::default() };
        OciImageManifest {
            config: descriptor(config),
            layers: layers.iter().map(|kind| descriptor(kind)).collect(),
            ..OciImageManifest::default()
        }
    }

    #[test]
    fn only_an_artifact_with_one_component_is_one() {
        let place: OciPlace = "oci://registry.example/shop:1".parse().unwrap();
        assert!(wasm_layer(&place, &manifest(CONFIG, &[LAYER])).is_ok());
        for (config, layers) in [
            ("application/vnd.oci.image.config.v1+json", vec![LAYER]),
            (CONFIG, vec!["application/vnd.oci.image.layer.v1.tar+gzip"]),
            (CONFIG, vec![LAYER, LAYER]),
            (CONFIG, vec![]),
        ] {
            let error = wasm_layer(&place, &manifest(config, &layers)).unwrap_err().to_string();
            assert!(error.contains("oci://registry.example/shop:1") && error.contains(config), "{error}");
        }
    }

    #[test]
    fn what_is_told_of_a_package_reads_back() {
        let package = Package {
            bytes: Bytes::from_static(b"component"),
            title: "shop/pay".to_owned(),
            version: "1.2.3".to_owned(),
            summary: "Pays.".to_owned(),
            imports: vec!["a".to_owned()],
            exports: vec!["b".to_owned()],
            signatures: vec![Signature { key: "k".to_owned(), signature: "s".to_owned() }],
        };
        let place: OciPlace = "oci://registry.example/shop:1".parse().unwrap();
        let told =
            OciImageManifest { annotations: Some(annotations(&package)), ..manifest(CONFIG, &[LAYER]) };
        let read = super::package(&place, &told, package.bytes.clone()).unwrap();
        assert_eq!(read, Package { imports: Vec::new(), exports: Vec::new(), ..package.clone() });
        let config: serde_json::Value =
            serde_json::from_slice(&configuration(&package, Timestamp(0))).unwrap();
        assert_eq!(config["layerDigests"][0], Digest::of(b"component").to_string());
        assert_eq!(
            (&config["architecture"], &config["component"]["imports"][0]),
            (&"wasm".into(), &"a".into())
        );
        assert_eq!(config["created"], "1970-01-01T00:00:00.000Z");

        let mut broken = told;
        broken.annotations = Some(BTreeMap::from([(SIGNATURES.to_owned(), "7".to_owned())]));
        let error = super::package(&place, &broken, Bytes::new()).unwrap_err().to_string();
        assert!(error.contains("dev.stepwright.signatures"), "{error}");
    }
}
