//! One file per command.

pub(crate) mod archive;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod demo;
pub(crate) mod import;
pub(crate) mod keys;
pub(crate) mod menus;
pub(crate) mod migrate;
pub(crate) mod payments;
pub(crate) mod reconcile;
pub(crate) mod serve;
pub(crate) mod simulate;
