package wire

import (
	"bytes"
	"testing"

	"github.com/pion/stun/v3"
)

// FuzzPacket checks, for any bytes at all, that nothing reads beyond them, that views
// stay inside them, that what parses is written back the same, and that pion's parser
// finds no fault in a message that is well formed here.
func FuzzPacket(f *testing.F) {
	f.Add([]byte{0x40, 0, 0, 1, 7, 0, 0, 0})
	f.Add([]byte{0x40, 0, 0xFF, 0xFC, 0, 0, 0, 0, 0})
	f.Add(message(f, sendType, peerV4, attr(stun.AttrData, 1, 2, 3)))
	f.Add(message(f, bindType, stun.Fingerprint))
	f.Fuzz(func(t *testing.T, p []byte) {
		p = bytes.Clone(p)[:len(p):len(p)]
		checkChannelData(t, p)
		checkSend(t, p)
		username, sealed := Claim(p)
		if !WellFormed(p) {
			return
		}
		m := new(stun.Message)
		if err := stun.Decode(p, m); err != nil {
			t.Fatalf("pion refuses what is well formed: %v", err)
		}
		if named, _ := m.Get(stun.AttrUsername); !sealed && !bytes.Equal(username, named) {
			t.Fatalf("the username is %q, pion's %q", username, named)
		}
		if n := AnswerBinding(make([]byte, MaxBindingResponseLen), p, peers[0]); n > 2*len(p) {
			t.Fatalf("%d bytes answer %d", n, len(p))
		}
	})
}

func checkChannelData(t *testing.T, p []byte) {
	channel, data, ok := ParseChannelData(p)
	if !ok {
		return
	}
	if Classify(p) != ChannelData {
		t.Fatal("ChannelData is classified as something else")
	}
	again := make([]byte, ChannelDataHeaderLen+len(data))
	copy(again[ChannelDataHeaderLen:], data)
	PutChannelDataHeader(again, channel, len(data))
	if !bytes.Equal(again, p[:len(again)]) {
		t.Fatalf("%x became %x", p, again)
	}
}

// checkSend turns a Send indication's data into a Data indication, whose parts are to
// be the same.
func checkSend(t *testing.T, p []byte) {
	s, ok := ParseSendIndication(p)
	if !ok {
		return
	}
	data := p[s.DataOffset : s.DataOffset+s.DataLen]
	buf := append(make([]byte, 64), data...)
	buf = append(buf, 0, 0, 0, 0)
	start, end, ok := PutDataIndication(buf, 64, 64+len(data), TransactionID{}, s.Peer)
	if !ok {
		return
	}
	m := new(stun.Message)
	if err := stun.Decode(buf[start:end], m); err != nil {
		t.Fatal(err)
	}
	value, _ := m.Get(stun.AttrXORPeerAddress)
	if peer, ok := ParseXORAddress(value, buf[start:end]); !ok || peer != s.Peer {
		t.Fatalf("peer %v became %v", s.Peer, peer)
	}
	if got, _ := m.Get(stun.AttrData); !bytes.Equal(got, data) {
		t.Fatal("the data changed")
	}
}
