package offload

import (
	"log/slog"
	"net/netip"
)

// Start attaches the program to the interfaces that serve, as far as the mode and they
// allow, says in one line for each what became of it, and keeps it true until
// [Engine.Close]. Where an operator insists on the program and no interface can have it,
// it returns an [*Error]. It belongs to the network namespace of the calling thread.
func Start(c Config) (*Engine, error) {
	if c.Flows == 0 {
		c.Flows = defaultFlows
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Mode == Off || c.Mode == "" {
		return newEngine(nil, nil, 0, c.Logger), nil
	}
	return start(c)
}

// Foresee says what Start would do with each interface that serves one of the addresses,
// as far as that shows without attaching anything. Off has none.
func Foresee(m Mode, serving []netip.Addr) []Interface {
	if m == Off || m == "" {
		return nil
	}
	return foresee(m, serving)
}

// without returns an engine that takes no flows and says why, or an error if the
// operator insists.
func without(c Config, i Interface, err error) (*Engine, error) {
	if c.Mode.asked() {
		return nil, &Error{i.Name, i.Why, err}
	}
	e := newEngine(nil, nil, 0, c.Logger)
	e.report(i, err)
	return e, nil
}

// report notes what became of an interface, and logs it.
func (e *Engine) report(i Interface, err error) {
	e.mu.Lock()
	e.interfaces[i.Name] = i
	e.mu.Unlock()
	attributes := []any{"mode", string(i.Mode)}
	if i.Name != "" {
		attributes = append(attributes, "interface", i.Name, "driver", i.Driver)
	}
	if i.Why == WhyNone {
		e.log.Info("relaying in the kernel", attributes...)
		return
	}
	attributes = append(attributes, "reason", string(i.Why), "why", i.Why.Text())
	if err != nil {
		attributes = append(attributes, "error", err.Error())
	}
	if hint := i.Why.Hint(); hint != "" {
		attributes = append(attributes, "hint", hint)
	}
	e.log.Info("relaying in user space", attributes...)
}
