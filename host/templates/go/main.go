// Plugin {{plugin}}.
package main

type Guest struct {
	Name string `json:"name"`
}

type Greeting struct {
	Text string `json:"text"`
}

// greet greets a guest by name.
func greet(guest Guest, ctx *Context) (Greeting, error) {
	if guest.Name == "" {
		return Greeting{}, Permanent("no_name", "nobody is there to be greeted")
	}
	ctx.Info("greeting "+guest.Name, "attempt", ctx.Attempt)
	return Greeting{Text: "Hello, " + guest.Name + "!"}, nil
}

var plugin = Plugin{
	Name:     "{{plugin}}",
	Version:  "0.1.0",
	Summary:  "Greets people.",
	Handlers: []Handler{Handle("greet", "Greets a guest by name.", greet)},
}

// The host calls the handlers; there is nothing to do besides.
func main() {}
