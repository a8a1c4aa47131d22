package main

import "testing"

func TestAGuestIsGreeted(t *testing.T) {
	ctx, recorded := TestContext()
	greeting, err := greet(Guest{Name: "Ada"}, ctx)
	if err != nil || greeting.Text != "Hello, Ada!" || recorded.Log[0] != "info greeting Ada attempt=1" {
		t.Fatal(greeting, err, recorded.Log)
	}
}

func TestNobodyIsRefused(t *testing.T) {
	ctx, _ := TestContext()
	_, err := greet(Guest{}, ctx)
	if failed, ok := err.(*StepError); !ok || failed.Code != "no_name" {
		t.Fatal(err)
	}
}
