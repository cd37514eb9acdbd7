package nat_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"hairpin/turnserver/nat"
	"hairpin/turnserver/nat/nattest"
)

// The names of a report are what scripts rely on.
func TestReportAsJSON(t *testing.T) {
	b := nattest.Behaviour{Mapping: ei, Filtering: apd, Ports: nattest.Random}
	got := scene{server: without(full(t), 0x0026), behind: behind(b)}.play(t)
	text, err := json.Marshal(got.Report)
	if err != nil {
		t.Fatal(err)
	}
	var back nat.Report
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, *got.Report) {
		t.Errorf("%s became %+v: %v", text, back, err)
	}
	var names map[string]any
	if err := json.Unmarshal(text, &names); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"server", "otherAddress", "roundTripMs", "local", "mapped", "udp", "translated", "mapping", "filtering",
		"popularName", "hairpinning", "ports", "fragments", "pathMTU", "undetermined", "peers",
	} {
		if _, ok := names[want]; !ok {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if !slices.Equal([]any{names["mapping"], names["filtering"], names["udp"]},
		[]any{"endpoint-independent", "address-and-port-dependent", "yes"}) {
		t.Errorf("%s", text)
	}
}
