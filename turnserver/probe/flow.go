package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

const (
	packetLen   = 160                   // of a voice packet of 20 ms, in bytes
	packetEvery = 10 * time.Millisecond // fast enough for a person who waits, slow enough for any path
	packetLate  = time.Second           // much later than that, a packet is of no use to a call
	tokenLen    = 8                     // bytes that tell the packets of one flow from all others
)

// FlowDetails measure packets that were relayed one way. Delay is from being sent to
// being received, both here, so that no clock needs to agree with another.
type FlowDetails struct {
	Sent        int     `json:"sent"`
	Received    int     `json:"received"`
	LossPercent float64 `json:"lossPercent"`
	DelayMinMS  float64 `json:"delayMinMs"`
	DelayMS     float64 `json:"delayMs"` // the median
	DelayMaxMS  float64 `json:"delayMaxMs"`
	JitterMS    float64 `json:"jitterMs"`            // the mean difference between the delays of neighbours (D of RFC 3550 §6.4.1)
	Misframed   int     `json:"misframed,omitempty"` // came as an indication instead of over the channel, or the other way round
}

// flow is a way to measure: packets are sent and, if all is well, arrive.
type flow struct {
	send     func(payload []byte) error
	arrivals <-chan arrival
	framed   func(arrival) bool // as it should be
	late     time.Duration      // after the last was sent, what has not arrived is lost
}

// measure sends packets at an even pace and takes note of when they arrive.
func (f flow) measure(ctx context.Context, packets int) FlowDetails {
	token := make([]byte, tokenLen)
	_, _ = rand.Read(token) // never fails
	sent := make([]time.Time, 0, packets)
	delays := make(map[uint32]time.Duration, packets)
	d := FlowDetails{Sent: packets}
	pace := time.NewTicker(packetEvery)
	defer pace.Stop()
	var late <-chan time.Time
	for len(delays) < packets {
		select {
		case <-pace.C:
			if len(sent) == packets {
				break
			}
			sent = append(sent, time.Now())
			_ = f.send(packet(token, len(sent)-1)) // what is not sent is lost
			if len(sent) == packets {
				late = time.After(f.late)
			}
		case a := <-f.arrivals:
			number, ok := numberOf(a.payload, token)
			if _, seen := delays[number]; !ok || seen || int(number) >= len(sent) {
				break
			}
			delays[number] = a.at.Sub(sent[number])
			if !f.framed(a) {
				d.Misframed++
			}
		case <-late:
			return d.sum(delays)
		case <-ctx.Done():
			return d.sum(delays)
		}
	}
	return d.sum(delays)
}

func packet(token []byte, number int) []byte {
	payload := make([]byte, packetLen)
	copy(payload, token)
	binary.BigEndian.PutUint32(payload[tokenLen:], uint32(number))
	return payload
}

func numberOf(payload, token []byte) (uint32, bool) {
	if len(payload) != packetLen || !bytes.HasPrefix(payload, token) {
		return 0, false
	}
	return binary.BigEndian.Uint32(payload[tokenLen:]), true
}

// sum fills in what the delays of the packets that arrived come to.
func (d FlowDetails) sum(delays map[uint32]time.Duration) FlowDetails {
	d.Received = len(delays)
	d.LossPercent = 100 * float64(d.Sent-d.Received) / float64(d.Sent)
	if d.Received == 0 {
		return d
	}
	var ordered []time.Duration
	var differences time.Duration
	for number := range uint32(d.Sent) {
		delay, ok := delays[number]
		if !ok {
			continue
		}
		if n := len(ordered); n > 0 {
			differences += (delay - ordered[n-1]).Abs()
		}
		ordered = append(ordered, delay)
	}
	if n := len(ordered); n > 1 {
		d.JitterMS = ms(differences / time.Duration(n-1))
	}
	slices.Sort(ordered)
	d.DelayMinMS, d.DelayMS, d.DelayMaxMS = ms(ordered[0]), ms(ordered[len(ordered)/2]), ms(ordered[len(ordered)-1])
	return d
}

// String writes a flow for people.
func (d FlowDetails) String() string {
	if d.Received == 0 {
		return fmt.Sprintf("0 of %d", d.Sent)
	}
	return fmt.Sprintf("%d of %d in %.3g ms (jitter %.2g)", d.Received, d.Sent, d.DelayMS, d.JitterMS)
}

// lossy reports whether more is lost than a good network loses: one packet may be.
func (d FlowDetails) lossy() bool { return d.Sent-d.Received > 1 && d.LossPercent > 5 }
