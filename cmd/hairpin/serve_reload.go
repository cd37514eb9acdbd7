package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
)

// reloadOnHangup reads the configuration again at each hangup signal, until ctx is
// done. The function it returns waits until no reload is under way.
func (v *service) reloadOnHangup(ctx context.Context) (wait func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, hangup...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				if err := v.reload(); err != nil {
					v.log.Error("reload refused; the old configuration stays", "error", err.Error())
				}
			}
		}
	}()
	return func() { <-done }
}

// reload puts into effect what can change without a restart: secrets, API keys, peers,
// bounds and the log level. If anything is wrong, nothing changes.
func (v *service) reload() error {
	host := thisHost(countKeys)
	config := v.flags.load(host)
	s, err := config.resolve(host)
	if err != nil {
		return err
	}
	keys, err := readKeys(s)
	if err != nil {
		return err
	}
	if err := v.turn.SetPolicy(peerPolicy(config, s)); err != nil {
		return err
	}
	if !s.RandomSecret { // the random one of the start stays
		if err := v.secrets.Rotate(s.Secrets); err != nil {
			return errors.Join(err, v.turn.SetPolicy(peerPolicy(v.config, s)))
		}
	}
	v.keys.Replace(keys)
	v.turn.SetQuota(quota(config))
	v.level.Set(s.LogLevel)
	if keys := needRestart(&v.config.serveConfig, &config.serveConfig); len(keys) > 0 {
		v.log.Warn(fmt.Sprintf("these settings take effect with the next start: %s", strings.Join(keys, ", ")))
	}
	v.log.Info("configuration reloaded", "secrets", len(s.Secrets), "api_keys", v.keys.Len())
	return nil
}
