package signaling

import (
	"reflect"
	"sync"
	"testing"
)

func number(v float64) *float64 { return &v }

func TestParseQuality(t *testing.T) {
	const head = `{"type":"quality","targetClientId":"B"`
	for text, want := range map[string]Quality{
		`,"roundTripMs":42.5}`:                                   {RoundTripMs: number(42.5)},
		`,"lossPercent":100,"jitterMs":0}`:                       {LossPercent: number(100), JitterMs: number(0)},
		`,"bitrateKbps":1e3,"pairType":"nat","transport":"tcp"}`: {BitrateKbps: number(1000), PairType: "nat", Transport: "tcp"},
		`,"restarts":2,"timeToConnectMs":800,"roundTripMs":null}`: {
			Restarts: number(2), TimeToConnectMs: number(800),
		},
	} {
		m, err := ParseMessage([]byte(head+text), DefaultLimits())
		if err != nil || !reflect.DeepEqual(m.Quality, want) || m.Target != "B" {
			t.Errorf("%s became %+v (%v)", text, m, err)
		}
	}
	for text, reason := range map[string]Reason{
		head + `}`:                                           ReasonBadQuality,
		head + `,"pairType":"relay"}`:                        ReasonBadQuality,
		head + `,"roundTripMs":-1}`:                          ReasonBadQuality,
		head + `,"roundTripMs":60001}`:                       ReasonBadQuality,
		head + `,"roundTripMs":"5"}`:                         ReasonBadQuality,
		head + `,"roundTripMs":[5]}`:                         ReasonBadQuality,
		head + `,"roundTripMs":1e999}`:                       ReasonBadQuality,
		head + `,"lossPercent":100.5}`:                       ReasonBadQuality,
		head + `,"bitrateKbps":1000001}`:                     ReasonBadQuality,
		head + `,"restarts":1.5}`:                            ReasonBadQuality,
		head + `,"restarts":1001}`:                           ReasonBadQuality,
		head + `,"timeToConnectMs":true}`:                    ReasonBadQuality,
		head + `,"jitterMs":1,"pairType":"evil\" x=\"1"}`:    ReasonBadQuality,
		head + `,"jitterMs":1,"transport":"sctp"}`:           ReasonBadQuality,
		head + `,"jitterMs":1,"transport":7}`:                ReasonBadQuality,
		`{"type":"quality","jitterMs":1}`:                    ReasonBadMessage,
		`{"type":"quality","jitterMs":1,"targetClientId":7}`: ReasonBadMessage,
	} {
		_, err := ParseMessage([]byte(text), DefaultLimits())
		if refusal, ok := err.(*Refusal); !ok || refusal.Reason != reason {
			t.Errorf("%s: got %v, want %s", text, err, reason)
		}
	}
}

// The guide's table, at its edges.
func TestVerdict(t *testing.T) {
	for _, tt := range []struct {
		q    Quality
		want Verdict
	}{
		{Quality{}, VerdictUnknown},
		{Quality{Restarts: number(3)}, VerdictUnknown},
		{Quality{RoundTripMs: number(149)}, VerdictGood},
		{Quality{RoundTripMs: number(150)}, VerdictWarning},
		{Quality{RoundTripMs: number(300)}, VerdictWarning},
		{Quality{RoundTripMs: number(301)}, VerdictCritical},
		{Quality{LossPercent: number(0.9)}, VerdictGood},
		{Quality{LossPercent: number(1)}, VerdictWarning},
		{Quality{LossPercent: number(5)}, VerdictWarning},
		{Quality{LossPercent: number(5.1)}, VerdictCritical},
		{Quality{JitterMs: number(29)}, VerdictGood},
		{Quality{JitterMs: number(30)}, VerdictWarning},
		{Quality{JitterMs: number(50)}, VerdictWarning},
		{Quality{JitterMs: number(51)}, VerdictCritical},
		{Quality{BitrateKbps: number(1001)}, VerdictGood},
		{Quality{BitrateKbps: number(1000)}, VerdictWarning},
		{Quality{BitrateKbps: number(500)}, VerdictWarning},
		{Quality{BitrateKbps: number(499)}, VerdictCritical},
		{Quality{RoundTripMs: number(1), LossPercent: number(2), JitterMs: number(1)}, VerdictWarning},
		{Quality{RoundTripMs: number(1), LossPercent: number(2), JitterMs: number(90)}, VerdictCritical},
	} {
		if got := tt.q.Verdict(); got != tt.want {
			t.Errorf("%s is %s, want %s", encode(tt.q), got, tt.want)
		}
	}
}

// Restarts and times to connect count once, however often they are reported.
func TestReports(t *testing.T) {
	var mu sync.Mutex
	var reports []Report
	s := start(t, func(c *Config) {
		c.Report = func(r Report) {
			mu.Lock()
			defer mu.Unlock()
			reports = append(reports, r)
		}
	})
	a, b := s.enter("r"), s.enter("r")
	a.message("user-joined")
	say := func(text string) {
		a.send(`{"type":"quality","targetClientId":"` + b.id + `",` + text + `}`)
	}
	say(`"roundTripMs":10,"restarts":1,"timeToConnectMs":700`)
	say(`"roundTripMs":200,"restarts":3,"timeToConnectMs":700`)
	say(`"roundTripMs":20`)
	say(`"roundTripMs":400,"restarts":3,"timeToConnectMs":700`)
	say(`"roundTripMs":-1`)
	a.refused(ReasonBadQuality)
	a.send(`{"type":"quality","targetClientId":"` + a.id + `","roundTripMs":1}`)
	a.refused(ReasonUnknownTarget)
	ping(a, b) // a report is not forwarded

	wants := []struct {
		verdict  Verdict
		restarts float64
		connect  bool
	}{{VerdictGood, 1, true}, {VerdictWarning, 2, false}, {VerdictGood, 0, false}, {VerdictCritical, 0, false}}
	if len(reports) != len(wants) {
		t.Fatalf("%d reports", len(reports))
	}
	for i, want := range wants {
		if r := reports[i]; r.Verdict != want.verdict || r.NewRestarts != want.restarts || (r.FirstConnect != nil) != want.connect {
			t.Errorf("report %d: %+v, want %+v", i, r, want)
		}
	}
	last := s.hub.Rooms()[0].Members[0].Quality[ClientID(b.id)]
	if *last.RoundTripMs != 400 || *last.TimeToConnectMs != 700 {
		t.Errorf("the last report is %s", encode(last))
	}
	b.send(`{"type":"leave"}`)
	a.message("user-left")
	if n := len(s.hub.Rooms()[0].Members[0].Quality); n != 0 {
		t.Errorf("%d reports are kept of who left", n)
	}
}

func TestReportsAreBounded(t *testing.T) {
	s := start(t, nil)
	a, b := s.enter("r"), s.enter("r")
	a.message("user-joined")
	for range 2 * reportBurst {
		a.send(`{"type":"quality","targetClientId":"` + b.id + `","jitterMs":1}`)
	}
	a.refused(ReasonManyReports)
	for s.hub.Stats().Messages[TypeQuality] < 2*reportBurst {
		if r := a.next(); r.err != nil || r.message["reason"] != string(ReasonManyReports) {
			t.Fatalf("got %+v", r)
		}
	}
}
