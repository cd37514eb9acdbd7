package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hairpin/credentials"
)

// The formats of hairpin credentials issue.
const (
	formatText       = "text"
	formatJSON       = "json"
	formatICEServers = "ice-servers"
)

// issueOptions are the flags of hairpin credentials issue.
type issueOptions struct {
	deps
	user       string
	ttl        time.Duration
	format     string
	json       bool
	secretFile string
	host       string
	uris       []string
	server     string
	apiKeyFile string
}

// issued is a credential and where to use it: the answer of POST /v1/credentials.
type issued struct {
	Username  string    `json:"username"`
	Password  string    `json:"password"`
	TTL       int64     `json:"ttl"` // seconds
	ExpiresAt time.Time `json:"expiresAt"`
	URIs      []string  `json:"uris"`
}

// iceServers go into new RTCPeerConnection() as they are: the answer of
// GET /v1/ice-servers.
type iceServers struct {
	ICEServers []iceServer `json:"iceServers"`
	Policy     string      `json:"iceTransportPolicy"`
	TTL        int64       `json:"ttl"` // seconds
	ExpiresAt  time.Time   `json:"expiresAt"`
}

type iceServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

func newIssue(d deps) *cobra.Command {
	o := &issueOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "issue --user NAME",
		Short: "Mint a credential, from a secret or through a running server",
		Long: `Mint a TURN credential. With a secret, nobody is asked. With --server, a running
server mints, and names its own URIs; its API key comes from a file or from
` + apiKeyVariable + `. Secrets and keys are never taken from the command line, where
other users of this machine could see them.`,
		Example: `  hairpin credentials issue --user alice --secret-file secrets
  hairpin credentials issue --user alice --secret-file secrets \
      --format ice-servers --host turn.example.org
  hairpin credentials issue --user alice --json \
      --server https://turn.example.org --api-key-file key`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := noEmptyFlag(cmd, "user", "secret-file", "host", "server", "api-key-file"); err != nil {
				return err
			}
			if err := o.validate(cmd.Flags().Changed); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.user, "user", "", "`NAME` of the user, without a colon")
	flags.DurationVar(&o.ttl, "ttl", credentials.DefaultTTL, "lifetime as a `TIME` such as 90m, 1s to 24h")
	flags.StringVar(&o.format, "format", formatText, "`FORMAT` of the output: text, json or ice-servers")
	flags.BoolVar(&o.json, "json", false, "the same as --format json")
	flags.StringVar(&o.secretFile, "secret-file", "", "`FILE` with a secret a line, newest first (or set "+secretsVariable+")")
	flags.StringVar(&o.host, "host", "", "`NAME` of a TURN server on port 3478, for the URIs in the output")
	flags.StringArrayVar(&o.uris, "uri", nil, "`URI` of a STUN or TURN server, for the output (repeatable)")
	flags.StringVar(&o.server, "server", "", "`URL` of a running server, which then mints")
	flags.StringVar(&o.apiKeyFile, "api-key-file", "", "`FILE` with the API key for --server (or set "+apiKeyVariable+")")
	return cmd
}

func (o *issueOptions) run(ctx context.Context) error {
	if o.json {
		o.format = formatJSON
	}
	if o.server != "" {
		return o.issueThroughServer(ctx)
	}
	return o.issueOffline()
}

// validate finds what can be told from the flags alone. The argument tells whether a
// flag was given.
func (o *issueOptions) validate(given func(flag string) bool) error {
	if given("json") && given("format") {
		return usageError(errors.New("--json and --format exclude each other"), "--json is --format json")
	}
	for _, offline := range []string{"secret-file", "host", "uri"} {
		if given("server") && given(offline) {
			return usageError(fmt.Errorf("--server and --%s exclude each other", offline),
				"a server mints with its own secrets and names its own URIs")
		}
	}
	switch {
	case o.user == "":
		return usageError(errors.New("--user is missing"), "name whom the credential is for: --user alice")
	case !slices.Contains([]string{formatText, formatJSON, formatICEServers}, o.format):
		return usageError(fmt.Errorf("--format %q is not known", o.format), "one of text, json, ice-servers")
	case given("api-key-file") && !given("server"):
		return usageError(errors.New("--api-key-file is of use with --server only"), "name the server with --server URL")
	case o.ttl < credentials.MinTTL || o.ttl > credentials.MaxTTL:
		return usageError(fmt.Errorf("--ttl: %w", credentials.ErrInvalidTTL), "for more than 24h, issue again before it expires")
	case o.ttl%time.Second != 0:
		return usageError(errors.New("--ttl is not in whole seconds"), "credentials count in seconds: --ttl 90s")
	}
	if err := credentials.CheckUser(o.user); err != nil {
		return usageError(fmt.Errorf("--user: %w", err), "1 to 256 bytes of text, without a colon")
	}
	return nil
}

func (o *issueOptions) issueOffline() error {
	uris, err := o.offlineURIs()
	if err != nil {
		return err
	}
	secrets, err := needSecrets(o.deps, o.secretFile)
	if err != nil {
		return err
	}
	now := o.now()
	c, err := secrets.Mint(o.user, o.ttl, now)
	if err != nil {
		return usageError(err, "")
	}
	result := issued{
		Username:  c.Username,
		Password:  c.Password,
		TTL:       int64(c.TTL / time.Second),
		ExpiresAt: c.ExpiresAt,
		URIs:      uris,
	}
	switch o.format {
	case formatICEServers:
		return printJSON(o.stdout, result.iceServers())
	case formatJSON:
		return printJSON(o.stdout, result)
	}
	return printRows(o.stdout, result.rows(now))
}

// offlineURIs are the URIs of the flags, which nobody else could know.
func (o *issueOptions) offlineURIs() ([]string, error) {
	uris := slices.Clone(o.uris)
	for _, uri := range uris {
		if err := checkURI(uri); err != nil {
			return nil, usageError(fmt.Errorf("--uri %q: %w", uri, err), "for example turn:turn.example.org:3478?transport=udp")
		}
	}
	if o.host != "" {
		ofHost, err := urisOfHost(o.host)
		if err != nil {
			return nil, usageError(fmt.Errorf("--host %q: %w", o.host, err), "for example turn.example.org, without scheme or port")
		}
		uris = append(uris, ofHost...)
	}
	if o.format == formatICEServers && !slices.ContainsFunc(uris, isTURN) {
		return nil, usageError(errors.New("--format ice-servers needs the URI of a TURN server"),
			"add --host NAME, or --uri turn:NAME:3478?transport=udp, or ask a running server with --server URL")
	}
	if uris == nil {
		uris = []string{} // In JSON, a list that is empty and not null.
	}
	return uris, nil
}

func isTURN(uri string) bool { return strings.HasPrefix(uri, "turn") }

func (i issued) rows(now time.Time) []row {
	rows := []row{
		{"username", i.Username},
		{"password", i.Password},
		{"expires", fmt.Sprintf("%s, %s", i.ExpiresAt.Format(time.RFC3339), relative(i.ExpiresAt, now))},
	}
	name := "uris"
	for _, uri := range i.URIs {
		rows = append(rows, row{name, uri})
		name = ""
	}
	return rows
}

// iceServers puts STUN servers, which need no credential, apart from TURN servers.
func (i issued) iceServers() iceServers {
	var stun, turn []string
	for _, uri := range i.URIs {
		if isTURN(uri) {
			turn = append(turn, uri)
		} else {
			stun = append(stun, uri)
		}
	}
	var servers []iceServer
	if len(stun) > 0 {
		servers = append(servers, iceServer{URLs: stun})
	}
	servers = append(servers, iceServer{URLs: turn, Username: i.Username, Credential: i.Password})
	return iceServers{ICEServers: servers, Policy: "all", TTL: i.TTL, ExpiresAt: i.ExpiresAt}
}
