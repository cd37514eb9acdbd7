package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// warnDays is how long before its end a certificate should have been renewed: those
// that renew themselves do it 30 days before, and then try every day.
const warnDays = 14

// CertificateDetails are the details of the step certificate.
type CertificateDetails struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Names     []string  `json:"names"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	DaysLeft  int       `json:"daysLeft"`
	Chain     int       `json:"chain"` // certificates sent
	Trusted   bool      `json:"trusted"`
	NameMatch bool      `json:"nameMatches"`
	Version   string    `json:"tls"`
	Cipher    string    `json:"cipher"`
	ALPN      string    `json:"alpn"` // what the server took, or empty
}

// certificate judges what the server showed in the handshake.
func (p *prober) certificate(context.Context) Step {
	if len(p.secured.certificates) == 0 {
		return fault("certificate-missing", nil, "the server showed no certificate")
	}
	leaf := p.secured.certificates[0]
	now := p.o.Now()
	d := CertificateDetails{
		Subject:   leaf.Subject.String(),
		Issuer:    leaf.Issuer.String(),
		Names:     namesOf(leaf),
		NotBefore: leaf.NotBefore.UTC(),
		NotAfter:  leaf.NotAfter.UTC(),
		DaysLeft:  int(leaf.NotAfter.Sub(now).Hours() / 24),
		Chain:     len(p.secured.certificates),
		NameMatch: leaf.VerifyHostname(p.uri.Host) == nil,
		Version:   p.secured.version,
		Cipher:    p.secured.cipher,
		ALPN:      p.secured.alpn,
	}
	// Trust is judged at a time at which the certificate is valid: that it has expired
	// is said in its own words.
	err := verify(p.secured.certificates, p.o.Roots, latest(leaf.NotBefore, earliest(now, leaf.NotAfter)))
	d.Trusted = err == nil
	return p.judgeCertificate(d, now, err)
}

func (p *prober) judgeCertificate(d CertificateDetails, now time.Time, untrusted error) Step {
	var unknownAuthority x509.UnknownAuthorityError
	switch {
	case now.After(d.NotAfter):
		return fault("certificate-expired", d, "expired %s ago, on %s", span(now.Sub(d.NotAfter)), day(d.NotAfter)).
			hint("renew it, and see that the server reads the new one")
	case now.Before(d.NotBefore):
		return fault("certificate-not-yet-valid", d, "is valid only from %s on", d.NotBefore.Format(time.RFC3339)).
			hint("is the clock of this machine right?")
	case !d.NameMatch:
		return fault("certificate-name", d, "is not for %s but for %s", p.uri.Host, strings.Join(d.Names, ", ")).
			hint("use a name of the certificate in the URI, or get one for this name")
	case errors.As(untrusted, &unknownAuthority) && d.Chain == 1 && d.Issuer != d.Subject:
		return fault("certificate-chain", d, "was sent without the certificates between it and a root").
			hint("give the server the full chain: its own certificate first, then the intermediates")
	case untrusted != nil:
		return fault("certificate-untrusted", d, "is not trusted: %v", untrusted).
			hint("browsers refuse it too, unless its root is installed; --ca-file names a root of your own")
	case p.secured.old:
		return fault("tls-old", d, "is good, but the server speaks no better than %s", d.Version)
	case d.DaysLeft < warnDays:
		return fault("certificate-ends-soon", d, "ends in %s, on %s", counted(d.DaysLeft, "day"), day(d.NotAfter)).
			hint("renew it now")
	}
	took := "no ALPN"
	if d.ALPN != "" {
		took = "ALPN " + d.ALPN
	}
	return okay(d, "for %s, %s left, chain of %d, %s, %s", strings.Join(d.Names, ", "), counted(d.DaysLeft, "day"), d.Chain, d.Version, took)
}

func verify(chain []*x509.Certificate, roots *x509.CertPool, at time.Time) error {
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: at})
	return err
}

func namesOf(c *x509.Certificate) []string {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = append(names, "no name")
	}
	return names
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// span writes a duration as people say it, without fractions.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return counted(int(d.Hours()/24), "day")
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}
