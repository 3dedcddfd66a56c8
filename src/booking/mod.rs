//! What lodging is about: stays, money, codes and the life of a reservation. Types and rules only; no I/O.

pub mod code;
pub mod money;
pub mod offer;
pub mod reservation;
pub mod restriction;
pub mod stay;
