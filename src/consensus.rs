//! What the consensus specifications say, in types: networks and forks, the slot clock, the builder API's containers in SSZ and
//! JSON, signing domains and BLS.
//!
//! In: bytes and a chain spec. Out: typed objects or a reason. Nothing here talks to a socket, and only [`WallClock`] reads a
//! clock. Containers keep the specifications' names (consensus-specs, builder-specs) and are generic over the [`Preset`],
//! because the minimal preset of development networks changes list limits, and with them SSZ layouts and roots.

mod attributes;
mod bid;
mod blobs;
mod block;
mod block_hash;
pub mod bls;
mod clock;
mod clock_skew;
pub mod containers;
mod fork_outlook;
mod kzg;
mod named_fork;
mod payload;
mod payload_error;
mod peek;
mod preset;
mod quoted;
mod registration;
mod reported;
mod signing;
mod spec;
mod spec_file;
mod wire;

pub use attributes::{AttributesError, PayloadAttributes};
pub use bid::{BidFacts, BidMessage, SignedBuilderBid};
pub use blobs::{BlobLimits, BlobSchedule};
pub use block::{BlindedBody, BlockFacts, SignedBlindedBlock};
pub use block_hash::{BlockHashInputs, ToExecutionHeader, recompute_block_hash};
pub use clock::{ClockHand, SlotClock, WallClock};
pub use clock_skew::{
    ClockOffset, ClockSample, ClockVerdict, OffsetRange, SourceClock, USELESS_BEYOND_MS, WRONG_BEYOND_MS,
};
pub use fork_outlook::{ForkSource, ForkUrgency, UnservedFork};
pub use kzg::prepare_kzg;
pub use named_fork::NamedFork;
pub use payload::{Payload, Revealed, RevealedPayload};
pub use payload_error::PayloadError;
pub use peek::PeekedBlock;
pub use preset::{Mainnet, Minimal, Preset, PresetName};
pub use registration::{
    REGISTRATION_SSZ_BYTES, Registration, RegistrationError, count_ssz, json_from_ssz, split_json,
    ssz_from_json, visit_json, visit_ssz,
};
pub use reported::{NetworkMismatch, ReportedGenesis, ReportedSpec};
pub use signing::{Domain, builder_domain, proposer_domain, signing_root};
pub use spec::{ChainSpec, ForkActivation, Network};
pub use spec_file::{SpecFileError, parse_spec_file};
pub use wire::{DecodeError, Encoding};
