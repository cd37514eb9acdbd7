/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How the program comes to its verdicts. reason.go has the same, says what each means,
 * and a test compares them.
 */
enum reason {
	/* Frames that leave at once. */
	TO_PEER,
	TO_CLIENT,
	HAIRPIN,
	BINDING,

	/* Frames that are dropped. */
	BINDING_LIMITED,
	BROKEN,

	/* Frames that pass, untouched. */
	UNCONFIGURED,
	FOREIGN_MAC,
	NOT_UDP,
	NO_FLOW,
	OPTIONS,
	FRAGMENT,
	LENGTH,
	CHECKSUM,
	CHECKSUM_LEFT,
	MERGED,
	STALE,
	EXPIRED,
	HAIRPIN_WIRE,
	HAIRPIN_MISS,
	NO_HOP,
	TOO_LONG,
	NO_EGRESS,
	OTHER_FAMILY,
	NO_HEADROOM,

	REASONS,
};
