package probe_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hairpin/credentials"
	"hairpin/turnserver"
	"hairpin/turnserver/control"
	"hairpin/turnserver/probe"
	"hairpin/turnserver/relay"
)

// patience bounds every probe of these tests; nothing that works comes near it.
const patience = 30 * time.Second

// running is a server of ours on loopback, for the length of a test.
type running struct {
	*turnserver.Server
	secrets []*credentials.Secrets // newest first
}

// serve runs a server that knows so many secrets; change adapts it.
func serve(t *testing.T, change func(*turnserver.Config)) *running {
	t.Helper()
	secret := credentials.RandomSecret()
	secrets := mustSecrets(t, secret)
	loopback := netip.MustParseAddr("127.0.0.1")
	c := turnserver.Config{
		Listen:      []netip.AddrPort{netip.AddrPortFrom(loopback, 0)},
		Relays:      []relay.Address{{Local: loopback, Advertised: loopback}},
		Credentials: secrets,
		Policy:      control.PolicyConfig{Profile: control.ProfilePublic, AllowLoopback: true},
		Sockets:     1,
	}
	if change != nil {
		change(&c)
	}
	s, err := turnserver.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return &running{Server: s, secrets: []*credentials.Secrets{secrets}}
}

func mustSecrets(t *testing.T, secret credentials.Secret) *credentials.Secrets {
	t.Helper()
	s, err := credentials.NewSecrets(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantNoAllocation fails the test if a probe has not given back what it was lent.
func (r *running) wantNoAllocation(t *testing.T) {
	t.Helper()
	for transport, n := range r.Stats().Control.Allocations {
		if n != 0 {
			t.Errorf("%d allocations over %v were not given back", n, transport)
		}
	}
}

func (r *running) udp() string { return "turn:" + r.Addrs().UDP[0].String() }
func (r *running) tcp() string { return "turn:" + r.Addrs().TCP[0].String() + "?transport=tcp" }

// mint is what a shared secret makes logins with.
func mint(s *credentials.Secrets) probe.Mint {
	return func(expires time.Time) (probe.Login, error) {
		c, err := s.Mint("alice", time.Hour, expires.Add(-time.Hour))
		return probe.Login{Username: c.Username, Password: c.Password}, err
	}
}

func (r *running) login(t *testing.T) *probe.Login {
	t.Helper()
	l, err := mint(r.secrets[0])(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return &l
}

// run probes, and writes what was found to the log of the test.
func run(t *testing.T, uri string, o probe.Options) probe.Result {
	t.Helper()
	u, err := probe.ParseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	if o.Packets == 0 {
		o.Packets = 4
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r := probe.Server(ctx, u, o)
	t.Logf("%s: %s: %s", r.URI, r.Verdict, r.Words)
	for _, s := range r.Steps {
		t.Logf("%s %s %s: %s (%s) %.0f ms", s.Status, s.Name, s.Reason, s.Words, s.Hint, s.TookMS)
	}
	return r
}

// wantStep fails the test unless a step ended so.
func wantStep(t *testing.T, r probe.Result, name string, status probe.Status, reason string) probe.Step {
	t.Helper()
	s, ok := r.Step(name)
	if !ok || s.Status != status || s.Reason != reason {
		t.Errorf("step %s is %s %q, want %s %q", name, s.Status, s.Reason, status, reason)
	}
	return s
}

func TestHealthy(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			s := serve(t, nil)
			uri := map[string]string{"udp": s.udp(), "tcp": s.tcp()}[transport]
			r := run(t, uri, probe.Options{Login: s.login(t)})
			if r.Verdict != probe.Healthy || r.Software != "Hairpin" {
				t.Errorf("got %s, %q", r.Verdict, r.Software)
			}
			for _, step := range r.Steps {
				if step.Status != probe.OK {
					t.Errorf("%s is %s: %s", step.Name, step.Status, step.Words)
				}
			}
			channel, _ := r.Step(probe.StepChannel)
			if d := channel.Details.(probe.RelayDetails); d.ToPeer.Received != 4 || d.ToClient.Received != 4 || d.PeerKind != "second-allocation" {
				t.Errorf("over the channel: %+v", d)
			}
			s.wantNoAllocation(t)
		})
	}
}

func TestSTUNAlone(t *testing.T) {
	s := serve(t, nil)
	r := run(t, "stun:"+s.Addrs().UDP[0].String(), probe.Options{})
	if r.Verdict != probe.Healthy || len(r.Steps) != 3 {
		t.Errorf("got %s in %d steps", r.Verdict, len(r.Steps))
	}
}

func TestFeaturesOfOurs(t *testing.T) {
	s := serve(t, nil)
	step := wantStep(t, run(t, s.tcp(), probe.Options{Login: s.login(t)}), probe.StepFeatures, probe.OK, "")
	want := map[string]string{"even-port": "yes", "reservation": "yes", "nonce-cookie": "yes", "ipv6-relay": "no", "tcp-relay": "no", "mobility": "no"}
	for _, f := range step.Details.([]probe.Feature) {
		if w, ok := want[f.Name]; ok && f.Offered != w {
			t.Errorf("%s: %s (%s), want %s", f.Name, f.Offered, f.Words, w)
		}
		delete(want, f.Name)
	}
	if len(want) > 0 {
		t.Errorf("nothing said about %v", want)
	}
}

func TestNoCredentials(t *testing.T) {
	s := serve(t, nil)
	r := run(t, s.udp(), probe.Options{})
	wantStep(t, r, probe.StepAuthentication, probe.Skipped, "no-credentials")
	wantStep(t, r, probe.StepAllocation, probe.Skipped, "needs")
	if r.Verdict != probe.Healthy || !strings.Contains(r.Words, "not known: authentication") {
		t.Errorf("got %s: %s", r.Verdict, r.Words)
	}
}

func TestAuthenticationExplained(t *testing.T) {
	s := serve(t, nil)
	good := *s.login(t)
	expires := time.Now().Add(time.Hour)
	changed := func(change func(l *probe.Login)) *probe.Login {
		l := good
		change(&l)
		return &l
	}
	old, err := mint(s.secrets[0])(time.Now().Add(-312 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	far, err := mint(s.secrets[0])(time.Now().Add(100 * time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	other, err := mint(mustSecrets(t, credentials.RandomSecret()))(expires)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		login  *probe.Login
		reason string
		words  string
	}{
		{"expired", &old, "expired", "expired 5 min ago"},
		{"expires too late", &far, "clock-skew", "expires only in 4 days"},
		{"other secret", &other, "wrong-secret", "signed with another secret"},
		{"wrong way round", changed(func(l *probe.Login) { l.Username = "alice:1772366400" }), "malformed-username", "USER:EXPIRY"},
		{"milliseconds", changed(func(l *probe.Login) { l.Username = "1772366400000:alice" }), "malformed-username", "milliseconds"},
		{"hexadecimal", changed(func(l *probe.Login) { l.Password = strings.Repeat("0f", 20) }), "password-not-base64", "hexadecimal"},
		{"line end", changed(func(l *probe.Login) { l.Password += "\n" }), "password-not-base64", "white space"},
		{"stored user", &probe.Login{Username: "alice", Password: "wonderland"}, "wrong-credentials", "the user or the password is wrong"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, s.udp(), probe.Options{Login: tt.login})
			step := wantStep(t, r, probe.StepAuthentication, probe.Fault, tt.reason)
			if !strings.Contains(step.Words, tt.words) || step.Hint == "" {
				t.Errorf("got %q, hint %q; want %q", step.Words, step.Hint, tt.words)
			}
			if r.Verdict != probe.Faulty {
				t.Errorf("got %s", r.Verdict)
			}
		})
	}
}

func TestRealmDiffers(t *testing.T) {
	s := serve(t, func(c *turnserver.Config) { c.Realm = "theirs" })
	l := s.login(t)
	l.Realm = "ours"
	r := run(t, s.udp(), probe.Options{Login: l})
	wantStep(t, r, probe.StepAuthentication, probe.Fault, "wrong-realm")
	wantStep(t, r, probe.StepChannel, probe.OK, "")
}

// TestMintedIsExplained: with a secret, a probe finds out more, and goes on with what
// the server takes.
func TestMintedIsExplained(t *testing.T) {
	s := serve(t, nil)
	stranger := mint(mustSecrets(t, credentials.RandomSecret()))
	ours := mint(s.secrets[0])
	t.Run("good", func(t *testing.T) {
		r := run(t, s.udp(), probe.Options{Mint: []probe.Mint{ours}})
		wantStep(t, r, probe.StepAuthentication, probe.OK, "")
	})
	t.Run("unknown", func(t *testing.T) {
		r := run(t, s.udp(), probe.Options{Mint: []probe.Mint{stranger}})
		wantStep(t, r, probe.StepAuthentication, probe.Fault, "wrong-secret")
		wantStep(t, r, probe.StepChannel, probe.Skipped, "needs")
	})
	t.Run("old secret", func(t *testing.T) {
		r := run(t, s.udp(), probe.Options{Mint: []probe.Mint{stranger, ours}})
		step := wantStep(t, r, probe.StepAuthentication, probe.Fault, "old-secret")
		if d := step.Details.(probe.AuthenticationDetails); d.Secret != 2 {
			t.Errorf("secret %d", d.Secret)
		}
		wantStep(t, r, probe.StepChannel, probe.OK, "")
	})
	t.Run("clock", func(t *testing.T) {
		slow := func() time.Time { return time.Now().Add(-3 * time.Hour) }
		r := run(t, s.udp(), probe.Options{Mint: []probe.Mint{ours}, Now: slow})
		step := wantStep(t, r, probe.StepAuthentication, probe.Fault, "clock-skew")
		ahead := time.Duration(step.Details.(probe.AuthenticationDetails).ClockAheadSeconds) * time.Second
		if (ahead - 3*time.Hour).Abs() > 6*time.Minute {
			t.Errorf("the clock is said to be %v ahead", ahead)
		}
		wantStep(t, r, probe.StepChannel, probe.OK, "")
	})
}

func TestQuota(t *testing.T) {
	quota := control.DefaultQuota()
	quota.PerUser = 1
	s := serve(t, func(c *turnserver.Config) { c.Quota = quota })
	t.Run("second allocation", func(t *testing.T) {
		r := run(t, s.udp(), probe.Options{Login: s.login(t)})
		step := wantStep(t, r, probe.StepPermission, probe.OK, "")
		if d := step.Details.(probe.PermissionDetails); d.PeerKind != "this-machine" {
			t.Errorf("got %+v", d)
		}
		wantStep(t, r, probe.StepChannel, probe.OK, "")
	})
	t.Run("first allocation", func(t *testing.T) {
		hold := holdAllocation(t, s)
		defer hold()
		r := run(t, s.udp(), probe.Options{Login: s.login(t)})
		wantStep(t, r, probe.StepAuthentication, probe.OK, "")
		step := wantStep(t, r, probe.StepAllocation, probe.Fault, "quota-user")
		if d := step.Details.(probe.AllocationDetails); d.Code != 486 || d.Phrase != "quota-user" || step.Hint == "" {
			t.Errorf("got %+v", step)
		}
	})
}

// TestPeerPolicy: loopback is not lent, and the relay still carries packets between our
// own allocations.
func TestPeerPolicyOfOurs(t *testing.T) {
	s := serve(t, func(c *turnserver.Config) { c.Policy.AllowLoopback = false })
	r := run(t, s.udp(), probe.Options{Login: s.login(t)})
	step := wantStep(t, r, probe.StepPeerPolicy, probe.OK, "")
	for _, a := range step.Details.([]probe.PeerAnswer) {
		if a.Kind != "public" && (a.Answer != "refused" || a.Code != 403 || !strings.HasPrefix(a.Phrase, "peer-denied-")) {
			t.Errorf("got %+v", a)
		}
	}
	wantStep(t, r, probe.StepChannel, probe.OK, "")
	wantStep(t, r, probe.StepOutside, probe.Unknown, "on-server")
}

func TestPeerPolicyHoleIsNamed(t *testing.T) {
	s := serve(t, func(c *turnserver.Config) {
		c.Policy.Allow = []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")}
	})
	r := run(t, s.udp(), probe.Options{Login: s.login(t)})
	step := wantStep(t, r, probe.StepPeerPolicy, probe.Fault, "peer-policy-hole")
	if !strings.Contains(step.Words, "metadata 169.254.169.254.") || strings.Contains(step.Words, "10.0.0.1") {
		t.Errorf("got %q", step.Words)
	}
}

func TestNames(t *testing.T) {
	s := serve(t, nil)
	lookup := func(addresses ...string) func(context.Context, string, string) ([]netip.Addr, error) {
		return func(_ context.Context, _, host string) (all []netip.Addr, err error) {
			if len(addresses) == 0 {
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			}
			for _, a := range addresses {
				all = append(all, netip.MustParseAddr(a))
			}
			return all, nil
		}
	}
	named := strings.Replace(s.udp(), "127.0.0.1", "turn.example.org", 1)
	t.Run("no address", func(t *testing.T) {
		r := run(t, named, probe.Options{Lookup: lookup()})
		wantStep(t, r, probe.StepDNS, probe.Fault, "dns-not-found")
		if r.Verdict != probe.Unreachable {
			t.Errorf("got %s", r.Verdict)
		}
	})
	t.Run("one of two is dead", func(t *testing.T) {
		r := run(t, named, probe.Options{Lookup: lookup("127.0.0.2", "127.0.0.1")})
		wantStep(t, r, probe.StepReachability, probe.Fault, "address-dead")
		wantStep(t, r, probe.StepBinding, probe.OK, "")
	})
	t.Run("mapped", func(t *testing.T) {
		r := run(t, named, probe.Options{Lookup: lookup("::ffff:127.0.0.1")})
		step := wantStep(t, r, probe.StepDNS, probe.OK, "")
		if d := step.Details.(probe.DNSDetails); len(d.IPv4) != 1 || len(d.IPv6) != 0 {
			t.Errorf("got %+v", d)
		}
	})
}

// holdAllocation takes an allocation until the function it returns is called.
func holdAllocation(t *testing.T, s *running) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	held, ended := make(chan struct{}), make(chan struct{})
	l := s.login(t)
	go func() {
		defer close(ended)
		u, _ := probe.ParseURI(s.udp())
		probe.Server(ctx, u, probe.Options{Login: l, Progress: func(words string) {
			if words == "a permission" { // it has an allocation now
				close(held)
				<-ctx.Done()
			}
		}})
	}()
	<-held
	return func() { cancel(); <-ended }
}

// TestInterrupted: what is known when a probe is interrupted is told.
func TestInterrupted(t *testing.T) {
	s := serve(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	u, _ := probe.ParseURI(s.udp())
	r := probe.Server(ctx, u, probe.Options{Login: s.login(t), Progress: func(words string) {
		if words == "packets relayed over a channel" {
			cancel()
		}
	}})
	if r.Verdict != probe.Incomplete {
		t.Errorf("got %s: %s", r.Verdict, r.Words)
	}
	wantStep(t, r, probe.StepIndication, probe.OK, "")
	wantStep(t, r, probe.StepChannel, probe.Unknown, "interrupted")
	wantStep(t, r, probe.StepFeatures, probe.Skipped, "interrupted")
	s.wantNoAllocation(t)
}
