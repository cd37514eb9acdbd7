package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// apiKeyVariable names the environment variable with the API key.
	apiKeyVariable = "HAIRPIN_API_KEY"

	// serverTimeout bounds a request, the connection included. Minting takes a server
	// microseconds.
	serverTimeout = 10 * time.Second

	// maxAnswerBytes and maxKeyFileBytes bound what is read from elsewhere.
	maxAnswerBytes  = 64 << 10
	maxKeyFileBytes = 4 << 10

	keyHint = "give an API key of the server with --api-key-file FILE or " + apiKeyVariable
)

// mintClient asks a running server for credentials.
type mintClient struct {
	base   *url.URL
	apiKey string // empty for a server in demo mode
	http   *http.Client
}

// problem is a problem document (RFC 9457 §3.1) with the member reason.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Reason string `json:"reason"`
}

func (o *issueOptions) issueThroughServer(ctx context.Context) error {
	client, err := newMintClient(o.deps, o.server, o.apiKeyFile)
	if err != nil {
		return err
	}
	if o.format == formatICEServers {
		answer, err := client.iceServers(ctx, o.user, o.ttl)
		if err != nil {
			return err
		}
		return printJSON(o.stdout, answer)
	}
	answer, err := client.credentials(ctx, o.user, o.ttl)
	switch {
	case err != nil:
		return err
	case o.format == formatJSON:
		return printJSON(o.stdout, answer)
	}
	return printRows(o.stdout, answer.rows(o.now()))
}

func newMintClient(d deps, server, apiKeyFile string) (*mintClient, error) {
	base, err := parseServerURL(server)
	if err != nil {
		return nil, usageError(fmt.Errorf("--server: %w", err), "for example --server http://127.0.0.1:8080")
	}
	key, err := readAPIKey(d, apiKeyFile)
	if err != nil {
		return nil, err
	}
	if key != "" && base.Scheme == "http" && !isLoopback(base.Hostname()) {
		fmt.Fprintf(d.stderr, "hairpin: warning: the API key and the credential go to %s without encryption; https mends it\n", base.Host)
	}
	return &mintClient{base: base, apiKey: key, http: &http.Client{
		Transport: d.transport,
		Timeout:   serverTimeout,
		// A redirect could carry the API key elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// parseServerURL takes no user information, which would be a secret on the command
// line, and quotes nothing of what it refuses for the same reason.
func parseServerURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("not an http or https URL")
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL has more than scheme, host, port and path")
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// readAPIKey returns the key of the file or of the environment, or none. The file
// holds the key alone, or one name:key as in the file of the server; a key holds no colon.
func readAPIKey(d deps, name string) (string, error) {
	source, text := apiKeyVariable, d.getenv(apiKeyVariable)
	if name != "" {
		f, err := os.Open(name)
		if err != nil {
			return "", usageError(fmt.Errorf("cannot read the API key: %w", err), keyHint)
		}
		defer f.Close()
		content, err := io.ReadAll(io.LimitReader(f, maxKeyFileBytes))
		if err != nil {
			return "", usageError(fmt.Errorf("cannot read the API key: %w", err), keyHint)
		}
		source, text = oneLine(name), string(content)
	} else if text == "" {
		return "", nil
	}
	key := strings.TrimSpace(text)
	if _, afterName, found := strings.Cut(key, ":"); found {
		key = afterName
	}
	if key == "" || strings.ContainsFunc(key, notInKey) {
		return "", usageError(fmt.Errorf("%s does not hold one API key", source), "it holds the key alone, or one line name:key")
	}
	return key, nil
}

// notInKey is what cannot stand in a header, or separates keys.
func notInKey(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' || r == ',' }

// credentials asks for a credential.
func (c *mintClient) credentials(ctx context.Context, user string, ttl time.Duration) (issued, error) {
	body, err := json.Marshal(map[string]any{"user": user, "ttl": int64(ttl / time.Second)})
	if err != nil {
		return issued{}, err
	}
	target := c.base.JoinPath("v1", "credentials")
	var answer issued
	if err := c.do(ctx, http.MethodPost, target, body, &answer); err != nil {
		return issued{}, err
	}
	if answer.Username == "" || answer.Password == "" {
		return issued{}, notHairpin(target)
	}
	return answer, nil
}

// iceServers asks for a credential with all servers to use it on.
func (c *mintClient) iceServers(ctx context.Context, user string, ttl time.Duration) (iceServers, error) {
	target := c.base.JoinPath("v1", "ice-servers")
	target.RawQuery = url.Values{"user": {user}, "ttl": {strconv.FormatInt(int64(ttl/time.Second), 10)}}.Encode()
	var answer iceServers
	if err := c.do(ctx, http.MethodGet, target, nil, &answer); err != nil {
		return iceServers{}, err
	}
	if len(answer.ICEServers) == 0 {
		return iceServers{}, notHairpin(target)
	}
	return answer, nil
}

// do sends a request and reads a JSON answer.
func (c *mintClient) do(ctx context.Context, method string, target *url.URL, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.apiKey != "" {
		req.Header.Set("Authorization", "Bearer "+c.apiKey)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return unreachableError(fmt.Errorf("cannot reach %s: %w", target.Host, withoutURL(err)),
			"is the server running, and does its --http listen there?")
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return unreachableError(fmt.Errorf("the answer of %s broke off: %w", target.Host, withoutURL(err)), "try again")
	}
	if resp.StatusCode/100 != 2 {
		return refused(resp, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return notHairpin(target)
	}
	return nil
}

// withoutURL takes away what net/http puts around an error: the method and the URL,
// with the user in it.
func withoutURL(err error) error {
	var urlError *url.Error
	if errors.As(err, &urlError) {
		return urlError.Err
	}
	return err
}

func notHairpin(target *url.URL) error {
	return faultError(fmt.Errorf("%s does not answer as a Hairpin server does", target.Host),
		"--server is the address that hairpin serve prints for HTTP, without /v1")
}

// refused tells what the server said against the request.
func refused(resp *http.Response, text []byte) error {
	said := resp.Status
	var p problem
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType == "application/problem+json" && json.Unmarshal(text, &p) == nil && p.Title != "" {
		said = p.Title
		if p.Detail != "" {
			said += ": " + strings.TrimSuffix(p.Detail, ".")
		}
		if p.Reason != "" {
			said += " (" + p.Reason + ")"
		}
	}
	return faultError(fmt.Errorf("%s refused: %s", resp.Request.URL.Host, oneLine(said)), refusedHint(resp))
}

func refusedHint(resp *http.Response) string {
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return keyHint
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && after >= 0 {
			return fmt.Sprintf("try again in %d s", after)
		}
		return "try again later"
	case http.StatusNotFound:
		return "--server is the address that hairpin serve prints for HTTP, without /v1"
	}
	return ""
}
