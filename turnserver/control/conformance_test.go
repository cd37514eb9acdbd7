package control

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// The tests named conformance_*_test.go hold the control plane, with the relay table
// it writes, against the RFCs: each subtest begins with the id of a row of the table
// of cases. These rows are shown elsewhere, because only sockets or streams can:
//
//	S3   IPv4 client on a dual-stack socket  turnserver, TestRepliesLeaveFromWhereTheyWereAsked
//	S4   replies leave from where they came  turnserver, the same
//	S17  framing of a stream                 turnserver, TestStreamFraming; package stream
//	S18  garbage on a stream                 turnserver, TestStreamFraming; package stream
//	D3   the DF bit on the wire              package udp (what the server asks for: here)
//	D6   4000 bytes to a TCP client          package relay, TestStreamClientsGetPaddedFrames
//	C10  ChannelData on a stream, silence    turnserver, TestStreamFraming; package stream
//
// And these are not offered: A12 and A13 (password algorithms, anonymous usernames), A18
// (their vector), D7 (ICMP), and a second relayed address in L17.
var elsewhere = map[string]bool{
	"S3": true, "S4": true, "S17": true, "S18": true, "D6": true, "C10": true,
	"A12": true, "A13": true, "A18": true, "D7": true,
}

// groups are the groups of rows that this package answers for, and their sizes.
var groups = map[string]int{"S": 19, "A": 18, "G": 10, "L": 26, "R": 5, "P": 7, "D": 7, "C": 12}

func TestEveryRowHasATest(t *testing.T) {
	files, err := filepath.Glob("conformance_*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no conformance tests found", err)
	}
	named := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"([A-Z][0-9]+) `).FindAllSubmatch(text, -1) {
			named[string(m[1])] = true
		}
	}
	for group, size := range groups {
		for n := 1; n <= size; n++ {
			id := fmt.Sprint(group, n)
			if named[id] == elsewhere[id] {
				t.Errorf("%s: tested here: %v, and tested elsewhere: %v", id, named[id], elsewhere[id])
			}
		}
	}
}
