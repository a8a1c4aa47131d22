//! Plugin `examples/packing-rust`: puts what was reserved for an order into parcels. `polyglot/python` and `polyglot/js` do the
//! same in their languages, and [`compare_parcels`] finds out whether all of them agree.

use stepwright_sdk::prelude::*;

/// An order, as far as the packer reads it.
#[derive(Deserialize, JsonSchema)]
struct Order {
    order_id: String,
}

#[derive(Deserialize, JsonSchema)]
struct Boxes {
    /// The most pieces in one parcel.
    pieces_max: u32,
}

/// What was set aside, as far as the packer reads it.
#[derive(Serialize, Deserialize)]
struct Reserved {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Line {
    sku: String,
    quantity: u32,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Parcel {
    lines: Vec<Line>,
    pieces: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Packed {
    order_id: String,
    parcels: Vec<Parcel>,
}

/// Fills parcels one after the other, in the order of the lines.
#[handler(config = Boxes)]
fn pack_order(order: Order, ctx: &Context) -> StepResult<Packed> {
    let boxes: Boxes = ctx.config()?;
    let reserved: Reserved = ctx.parent("reserve_inventory")?;
    if boxes.pieces_max == 0 {
        return Err(permanent("pieces_max is 0: nothing fits into such a parcel").code("no_room"));
    }
    let parcels = pack(&reserved.lines, boxes.pieces_max);
    if parcels.is_empty() {
        let message = format!("nothing is reserved for order {}", order.order_id);
        return Err(permanent(message).code("nothing_to_pack"));
    }
    info!(ctx, "order {} leaves in {} parcels", order.order_id, parcels.len(); language = "Rust");
    Ok(Packed { order_id: order.order_id, parcels })
}

fn pack(lines: &[Line], pieces_max: u32) -> Vec<Parcel> {
    let mut parcels: Vec<Parcel> = Vec::new();
    for Line { sku, quantity } in lines {
        let mut left = *quantity;
        while left > 0 {
            if parcels.last().is_none_or(|parcel| parcel.pieces == pieces_max) {
                parcels.push(Parcel::default());
            }
            let Some(parcel) = parcels.last_mut() else { break };
            let fits = left.min(pieces_max - parcel.pieces);
            parcel.lines.push(Line { sku: sku.clone(), quantity: fits });
            parcel.pieces += fits;
            left -= fits;
        }
    }
    parcels
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Agreed {
    /// The steps that said the same.
    steps: Vec<String>,
    parcels: usize,
    pieces: u32,
}

/// Succeeds if all of its parents packed the same parcels.
#[handler]
fn compare_parcels(ctx: &Context) -> StepResult<Agreed> {
    let mut agreed: Option<(&str, Packed)> = None;
    for parent in ctx.parents() {
        let packed: Packed = parent.output()?;
        match &agreed {
            Some((first, expected)) if *expected != packed => {
                let message = format!("{first} and {} packed different parcels", parent.step());
                return Err(permanent(message).code("they_differ"));
            }
            Some(_) => {}
            None => agreed = Some((parent.step(), packed)),
        }
    }
    let (_, packed) = agreed.or_permanent("there is no parent to compare")?;
    Ok(Agreed {
        steps: ctx.parents().map(|parent| parent.step().to_owned()).collect(),
        parcels: packed.parcels.len(),
        pieces: packed.parcels.iter().map(|parcel| parcel.pieces).sum(),
    })
}

stepwright_sdk::plugin! {
    name: "examples/packing-rust",
    summary: "Packs orders into parcels, in Rust.",
    handlers: [pack_order, compare_parcels],
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_sdk::testing::TestContext;

    fn line(sku: &str, quantity: u32) -> Line {
        Line { sku: sku.to_owned(), quantity }
    }

    fn run(lines: Vec<Line>) -> StepResult<Packed> {
        let test = TestContext::new().config(json!({ "pieces_max": 4 }));
        let test = test.parent("reserve_inventory", &Reserved { lines });
        test.run(pack_order, Order { order_id: "A-1".to_owned() })
    }

    #[test]
    fn a_line_that_does_not_fit_goes_on_in_the_next_parcel() {
        let packed = run(vec![line("LAMP", 3), line("BULB", 6)]).unwrap();
        let first = Parcel { lines: vec![line("LAMP", 3), line("BULB", 1)], pieces: 4 };
        let others = [(4, line("BULB", 4)), (1, line("BULB", 1))];
        let others = others.map(|(pieces, line)| Parcel { lines: vec![line], pieces });
        assert_eq!(packed.parcels[0], first);
        assert_eq!(packed.parcels[1..], others);
        assert_eq!(run(Vec::new()).unwrap_err().code.as_deref(), Some("nothing_to_pack"));
    }

    #[test]
    fn parents_must_agree() {
        let (one, other) = (run(vec![line("LAMP", 3)]).unwrap(), run(vec![line("LAMP", 2)]).unwrap());
        let same = TestContext::new().parent("a", &one).parent("b", &one);
        let expected = Agreed { steps: vec!["a".to_owned(), "b".to_owned()], parcels: 1, pieces: 3 };
        assert_eq!(compare_parcels(same.context()), Ok(expected));
        let different = TestContext::new().parent("a", &one).parent("b", &other);
        assert_eq!(compare_parcels(different.context()).unwrap_err().code.as_deref(), Some("they_differ"));
    }
}
