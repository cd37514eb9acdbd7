package labtest

import (
	"embed"
	"encoding/json"
	"fmt"

	"hairpin/turnserver/nat"
)

// files are the networks and their rules, as doc.go says.
//
//go:embed networks
var files embed.FS

// Network is a kind of network that clients are found in, and what is to be found out
// of it.
type Network struct {
	Name  string `json:"name"`
	Is    string `json:"is"`    // in words
	Boxes []Box  `json:"boxes"` // from the client outwards

	// Want is what discovery must find, as far as it is the network's: UDP, Translated,
	// Mapping, Filtering, Hairpinning, Ports and the reasons of Remarks.
	Want nat.Report `json:"want"`
}

// Box is a router between two networks.
type Box struct {
	Inside Range  `json:"inside"` // what addresses the network inside has
	Rules  string `json:"rules"`  // the file of its rules; "" for forwarding alone
}

// Range says what kind of addresses a network has.
type Range string

// The ranges.
const (
	Private Range = "private" // RFC 1918, RFC 4193
	Carrier Range = "carrier" // 100.64.0.0/10 (RFC 6598)
	Public  Range = "public"
)

// Networks returns all networks. It panics if a file is broken, which a test rules out.
func Networks() []Network {
	text, err := files.ReadFile("networks/networks.json")
	if err != nil {
		panic(err)
	}
	var all []Network
	if err := json.Unmarshal(text, &all); err != nil {
		panic(fmt.Errorf("networks.json: %w", err))
	}
	return all
}

// Named returns one of Networks. It panics if there is none.
func Named(name string) Network {
	for _, n := range Networks() {
		if n.Name == name {
			return n
		}
	}
	panic("no network is called " + name)
}

// rules returns the text of a file of rules.
func rules(name string) (string, error) {
	text, err := files.ReadFile("networks/" + name + ".nft")
	return string(text), err
}
