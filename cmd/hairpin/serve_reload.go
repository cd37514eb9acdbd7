package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"

	"hairpin/credentials"
)

// notifyHangups returns the signals that ask for a reload, from now on until stop. They
// would otherwise end the process.
func notifyHangups() (hangups <-chan os.Signal, stop func()) {
	signals := make(chan os.Signal, 1)
	if len(hangup) > 0 { // without any, Notify would take all signals there are
		signal.Notify(signals, hangup...)
	}
	return signals, func() { signal.Stop(signals) }
}

// reloadOn reads the configuration again at each signal, also while the relay drains.
// The function it returns ends that, and waits until no reload is under way.
func (v *service) reloadOn(hangups <-chan os.Signal) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-hangups:
				if err := v.reload(); err != nil {
					v.log.Error("reload refused; the old configuration stays", "error", err.Error())
				}
			}
		}
	}()
	return func() { close(quit); <-done }
}

// reload puts into effect what can change without a restart: secrets, API keys, join token keys, peers,
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
	if _, err := credentials.NewSecrets(s.Secrets...); err != nil {
		return err
	}
	if err := v.turn.SetPolicy(peerPolicy(config, s)); err != nil {
		return err
	}
	if s.RandomSecret {
		v.log.Warn("no secrets are configured; those in use stay")
	} else if err := v.secrets.Rotate(s.Secrets); err != nil {
		return err // has been checked above
	}
	v.reloadJoinTokens(s)
	v.keys.Replace(keys)
	v.turn.SetQuota(fit(config, v.log).quota)
	v.level.Set(s.LogLevel)
	if keys := needRestart(&v.config.serveConfig, &config.serveConfig); len(keys) > 0 {
		v.log.Warn(fmt.Sprintf("these settings take effect with the next start: %s", strings.Join(keys, ", ")))
	}
	v.log.Info("configuration reloaded", "api_keys", v.keys.Len())
	return nil
}
