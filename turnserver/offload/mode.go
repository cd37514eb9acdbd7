package offload

// Mode is how much of the kernel's data plane an operator wants, and of an interface, how
// it is used. The empty one is Off.
type Mode string

// The modes.
const (
	Off     Mode = "off"     // relay in user space
	Auto    Mode = "auto"    // native where that is safe, else user space
	Native  Mode = "native"  // in the driver, or do not start
	Generic Mode = "generic" // in the network stack, on any interface, or do not start
)

// asked reports whether an operator insists.
func (m Mode) asked() bool { return m == Native || m == Generic }
