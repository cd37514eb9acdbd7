package bench_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hairpin/turnserver/bench"
	"hairpin/turnserver/labtest"
)

// newSink makes a sink and puts it on interfaces. Where that is not allowed it skips the
// test, or fails it where the environment has HAIRPIN_TEST_FULL=1.
func newSink(t *testing.T, on map[*labtest.Host][]string) *bench.Sink {
	t.Helper()
	sink, err := bench.NewSink()
	switch {
	case err == nil:
	case os.Getenv("HAIRPIN_TEST_FULL") != "1" && (errors.Is(err, unix.EPERM) || errors.Is(err, ebpf.ErrNotSupported)):
		t.Skip(err)
	default:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
	})
	for host, names := range on {
		for _, name := range names {
			host.Do(func() {
				if err := sink.Attach(name); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
	return sink
}

// TestSinkTakesThePlaceOfReceiving wants every packet counted, most of them in the
// kernel and the rest timed, in both framings, by the server and without it.
func TestSinkTakesThePlaceOfReceiving(t *testing.T) {
	lab := labtest.New(t)
	site := newSite(lab, lab.Host("client"), lab.Host("peer"), 1)
	near, far := site.shortcut(lab)
	config := site.config(4)
	config.Sink = newSink(t, map[*labtest.Host][]string{site.client: {site.clientLink, near}, site.peer: {site.peerLink, far}})
	hairpin(t, "hairpin", hairpinProgram(t), "--offload", "off").start(t, site, serverCPU)
	fleet, err := bench.Establish(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFleet(t, fleet)
	for _, mode := range []bench.Mode{bench.ToPeer, bench.ToClient, bench.Both, bench.RelayToRelay} {
		load := bench.Load{Mode: mode, Rate: 3000, Duration: 300 * time.Millisecond}
		r, err := fleet.Run(t.Context(), load)
		if err != nil {
			t.Fatal(err)
		}
		wantSampled(t, string(mode), r)
		if mode == bench.RelayToRelay {
			continue // between clients, who are on one host, nothing passes a sink
		}
		if r, err = fleet.Baseline(t.Context(), load); err != nil {
			t.Fatal(err)
		}
		wantSampled(t, string(mode)+" without a server", r)
	}
}

func wantSampled(t *testing.T, name string, r *bench.Report) {
	t.Helper()
	if r.Sent == 0 || r.Delivered != r.Sent || r.Stray+r.Duplicate != 0 {
		t.Errorf("%s: %+v", name, r)
	}
	if timed := r.Delay.Count(); timed == 0 || timed > r.Delivered/4 {
		t.Errorf("%s: %d of %d packets were received, and so not taken by the sink", name, timed, r.Delivered)
	}
}
