package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what hairpin version tells.
type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"` // empty where the build knew of none
	Modified bool   `json:"modified"`         // built from more than the commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(d deps) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			v := versionOf(d.buildInfo)
			if asJSON {
				return printJSON(d.stdout, v)
			}
			return printRows(d.stdout, v.rows())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func versionOf(buildInfo func() (*debug.BuildInfo, bool)) versionInfo {
	v := versionInfo{
		Version:  "(devel)",
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := buildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (v versionInfo) rows() []row {
	commit := v.Commit
	if commit == "" {
		commit = "unknown"
	}
	if v.Modified {
		commit += ", modified"
	}
	return []row{{"hairpin", v.Version}, {"commit", commit}, {"go", v.Go + " " + v.Platform}}
}
