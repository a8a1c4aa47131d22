"""Plugin examples/packing-python: what polyglot/rust does, in Python."""

from dataclasses import dataclass

from stepwright import Context, Permanent, handler, plugin


@dataclass
class Order:
    order_id: str


@dataclass
class Boxes:
    pieces_max: int


@dataclass
class Line:
    sku: str
    quantity: int


@dataclass
class Reserved:
    lines: list[Line]


@dataclass
class Parcel:
    lines: list[Line]
    pieces: int


@dataclass
class Packed:
    order_id: str
    parcels: list[Parcel]


@handler(config=Boxes)
def pack_order(order: Order, ctx: Context) -> Packed:
    """Fills parcels one after the other, in the order of the lines."""
    boxes = ctx.config(Boxes)
    reserved = ctx.parent("reserve_inventory", Reserved)
    if boxes.pieces_max < 1:
        raise Permanent(f"pieces_max is {boxes.pieces_max}: nothing fits into such a parcel", code="no_room")
    parcels = pack(reserved.lines, boxes.pieces_max)
    if not parcels:
        raise Permanent(f"nothing is reserved for order {order.order_id}", code="nothing_to_pack")
    ctx.info(f"order {order.order_id} leaves in {len(parcels)} parcels", language="Python")
    return Packed(order.order_id, parcels)


def pack(lines, pieces_max):
    parcels = []
    for line in lines:
        left = line.quantity
        while left > 0:
            if not parcels or parcels[-1].pieces == pieces_max:
                parcels.append(Parcel([], 0))
            parcel = parcels[-1]
            fits = min(left, pieces_max - parcel.pieces)
            parcel.lines.append(Line(line.sku, fits))
            parcel.pieces += fits
            left -= fits
    return parcels


Handler = plugin(
    "examples/packing-python",
    version="1.0.0",
    summary="Packs orders into parcels, in Python.",
    handlers=[pack_order],
)
