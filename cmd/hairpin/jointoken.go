package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hairpin/signaling/jointoken"
)

// joinTokenOptions are the flags of hairpin credentials join-token.
type joinTokenOptions struct {
	deps
	grant        jointoken.Grant
	capabilities []string
	ttl          time.Duration
	json         bool
	secretFile   string
	server       string
	apiKeyFile   string
}

// joinToken is a token and what it grants: the answer of POST /v1/rooms/{room}/tokens.
type joinToken struct {
	Token        string    `json:"token"`
	Room         string    `json:"room"`
	User         string    `json:"user"`
	Capabilities []string  `json:"capabilities"`
	TTL          int64     `json:"ttl"` // seconds
	ExpiresAt    time.Time `json:"expiresAt"`
}

func newJoinToken(d deps) *cobra.Command {
	o := &joinTokenOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "join-token --room ROOM --user NAME",
		Short: "Mint a token that lets one user into a room",
		Long: `Mint a join token: it lets its holder join a room, or rooms with a prefix in
common, as one user. With the secrets of the server, nobody is asked; with
--server, a running server mints, and the rooms are those of the API key's
holder, which are no one else's. Offline, --tenant names that holder.

A server accepts the token until it expires, or until the secret that signed it
is taken away. Who has joined may stay.`,
		Example: `  hairpin credentials join-token --room lobby --user alice --secret-file secrets
  hairpin credentials join-token --room 'team-*' --user alice --can publish,moderate \
      --server https://turn.example.org --api-key-file key`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := noEmptyFlag(cmd, "room", "user", "tenant", "secret-file", "server", "api-key-file"); err != nil {
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
	flags.StringVar(&o.grant.Room, "room", "", "`ROOM` to join, or a prefix of rooms followed by *")
	flags.StringVar(&o.grant.User, "user", "", "`NAME` of the user, without a colon")
	flags.StringVar(&o.grant.Name, "name", "", "`NAME` that the others are shown (default what the client says)")
	flags.StringVar(&o.grant.Tenant, "tenant", "", "`NAME` of the API key whose rooms are meant (default nobody's)")
	flags.StringSliceVar(&o.capabilities, "can", []string{"publish"}, "`LIST` of publish and moderate; none to receive only")
	flags.DurationVar(&o.ttl, "ttl", jointoken.DefaultTTL, "lifetime as a `TIME` such as 90m, 1s to 24h")
	flags.BoolVar(&o.json, "json", false, "print as JSON")
	flags.StringVar(&o.secretFile, "secret-file", "", "`FILE` with a secret a line, newest first (or set "+secretsVariable+")")
	flags.StringVar(&o.server, "server", "", "`URL` of a running server, which then mints")
	flags.StringVar(&o.apiKeyFile, "api-key-file", "", "`FILE` with the API key for --server (or set "+apiKeyVariable+")")
	return cmd
}

// validate finds what can be told from the flags alone.
func (o *joinTokenOptions) validate(given func(flag string) bool) error {
	for _, offline := range []string{"secret-file", "tenant"} {
		if given("server") && given(offline) {
			return usageError(fmt.Errorf("--server and --%s exclude each other", offline),
				"a server mints with its own secrets, for the rooms of the API key's holder")
		}
	}
	for _, name := range o.capabilities {
		switch name {
		case "publish":
			o.grant.Publish = true
		case "moderate":
			o.grant.Moderate = true
		case "none":
		default:
			return usageError(fmt.Errorf("--can %q is not known", name), "one or more of publish, moderate; or none")
		}
	}
	switch {
	case slices.Contains(o.capabilities, "none") && len(o.capabilities) > 1:
		return usageError(errors.New("--can none excludes the others"), "give either")
	case given("api-key-file") && !given("server"):
		return usageError(errors.New("--api-key-file is of use with --server only"), "name the server with --server URL")
	case o.grant.Room == "":
		return usageError(errors.New("--room is missing"), "name the room: --room lobby")
	case o.grant.User == "":
		return usageError(errors.New("--user is missing"), "name whom the token is for: --user alice")
	case o.ttl%time.Second != 0 || o.ttl < time.Second || o.ttl > jointoken.MaxTTL:
		return usageError(errors.New("--ttl is not a number of whole seconds between 1s and 24h"), "for example --ttl 90m")
	}
	if err := o.grant.Validate(); err != nil {
		return usageError(err, "see hairpin credentials join-token --help")
	}
	return nil
}

func (o *joinTokenOptions) run(ctx context.Context) error {
	mint := o.mintOffline
	if o.server != "" {
		mint = o.mintThroughServer
	}
	token, err := mint(ctx)
	switch {
	case err != nil:
		return err
	case o.json:
		return printJSON(o.stdout, token)
	}
	return printRows(o.stdout, []row{
		{"token", token.Token},
		{"room", token.Room},
		{"user", token.User},
		{"can", strings.Join(token.Capabilities, ", ")},
		{"expires", fmt.Sprintf("%s, %s", token.ExpiresAt.Format(time.RFC3339), relative(token.ExpiresAt, o.now()))},
	})
}

func (o *joinTokenOptions) mintOffline(context.Context) (joinToken, error) {
	secrets, err := needSecrets(o.deps, o.secretFile)
	if err != nil {
		return joinToken{}, err
	}
	text, grant, err := jointoken.Mint(secrets.Derive(joinTokenPurpose)[0], o.grant, o.ttl, o.now())
	if err != nil {
		return joinToken{}, usageError(err, "")
	}
	return joinToken{
		Token: text, Room: grant.Room, User: grant.User, Capabilities: grant.Capabilities(),
		TTL: int64(o.ttl / time.Second), ExpiresAt: grant.ExpiresAt,
	}, nil
}

func (o *joinTokenOptions) mintThroughServer(ctx context.Context) (joinToken, error) {
	client, err := newMintClient(o.deps, o.server, o.apiKeyFile)
	if err != nil {
		return joinToken{}, err
	}
	return client.joinToken(ctx, o.grant, o.ttl)
}

// joinToken asks for a join token.
func (c *mintClient) joinToken(ctx context.Context, g jointoken.Grant, ttl time.Duration) (joinToken, error) {
	body, err := json.Marshal(map[string]any{
		"user": g.User, "name": g.Name, "ttl": int64(ttl / time.Second), "capabilities": g.Capabilities(),
	})
	if err != nil {
		return joinToken{}, err
	}
	target := c.base.JoinPath("v1", "rooms")
	target.RawPath = target.EscapedPath() + "/" + url.PathEscape(g.Room) + "/tokens"
	target.Path += "/" + g.Room + "/tokens"
	var answer joinToken
	if err := c.do(ctx, http.MethodPost, target, body, &answer); err != nil {
		return joinToken{}, err
	}
	if answer.Token == "" {
		return joinToken{}, notHairpin(target)
	}
	return answer, nil
}
