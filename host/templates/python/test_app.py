"""Plain tests, without WebAssembly: python3 -m unittest."""

import unittest

from app import Guest, greet
from stepwright import Context, Permanent


class Greet(unittest.TestCase):
    def test_a_guest_is_greeted(self):
        ctx = Context.for_test()
        self.assertEqual(greet(Guest("Ada"), ctx).text, "Hello, Ada!")
        self.assertEqual(ctx.logs, [("info", "greeting Ada", {"attempt": "1"})])

    def test_nobody_is_refused(self):
        with self.assertRaises(Permanent) as failed:
            greet(Guest(""), Context.for_test())
        self.assertEqual(failed.exception.code, "no_name")
