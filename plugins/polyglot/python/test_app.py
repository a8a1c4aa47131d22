"""Plain tests, without WebAssembly: python3 -m unittest."""

import unittest

from app import Line, Order, Parcel, pack_order
from stepwright import Context, Permanent


def run(lines):
    ctx = Context.for_test(config={"pieces_max": 4}, parents={"reserve_inventory": {"lines": lines}})
    return pack_order(Order("A-1"), ctx)


class PackOrder(unittest.TestCase):
    def test_a_line_that_does_not_fit_goes_on_in_the_next_parcel(self):
        packed = run([{"sku": "LAMP", "quantity": 3}, {"sku": "BULB", "quantity": 6}])
        self.assertEqual(packed.parcels[0], Parcel([Line("LAMP", 3), Line("BULB", 1)], 4))
        self.assertEqual([parcel.pieces for parcel in packed.parcels], [4, 4, 1])

    def test_nothing_is_refused(self):
        with self.assertRaises(Permanent) as failed:
            run([])
        self.assertEqual(failed.exception.code, "nothing_to_pack")

    def test_what_does_not_fit_its_type_is_named(self):
        with self.assertRaises(Permanent) as failed:
            run([{"sku": "LAMP", "quantity": "three"}])
        self.assertEqual(failed.exception.code, "invalid_parent_output")
        self.assertIn("lines[0].quantity: expected integer, found string", failed.exception.message)
