//! Plugin `examples/shop`: what a shop does with an order, and with a card.
//!
//! Order fulfilment: [`validate_order`] → [`reserve_inventory`] and [`process_payment`] → [`ship_order`].
//! Credit card payment: [`validate_card`] → [`check_fraud`] → [`authorize_payment`] → [`capture_payment`] → [`send_receipt`].
//!
//! There is no real gateway and no real warehouse behind it. What they would answer follows from the order itself (card
//! tokens as payment providers use them for tests, stock from the step's configuration), and how often the gateway is busy
//! follows from the idempotency key, so that every run of an order ends the same way.

mod card;
mod gateway;
mod inventory;
mod order;
mod shipping;

use card::{authorize_payment, capture_payment, check_fraud, send_receipt, validate_card};
use gateway::process_payment;
use inventory::reserve_inventory;
use order::validate_order;
use shipping::ship_order;

stepwright_sdk::plugin! {
    name: "examples/shop",
    summary: "Validates, reserves, charges and ships orders, and takes card payments.",
    handlers: [
        validate_order, reserve_inventory, process_payment, ship_order,
        validate_card, check_fraud, authorize_payment, capture_payment, send_receipt,
    ],
}
