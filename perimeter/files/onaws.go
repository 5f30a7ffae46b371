package files

import (
	"path"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// On AWS root tries, so no file's mode stands before the mount or the file system.
// What is done where a wall is down is undone: names that are made are removed, and
// what is set is set to what it is.
const (
	readOnlyWords = "Read-only file system"
	closedWords   = "Read-only file system|Permission denied|Operation not permitted"
)

// tree names the tree M and a file F of it that can be read.
func tree(p *plan.Plan, s *perimeter.Script) {
	s.Add("M=%s", perimeter.Word(p.Files.Mount))
	s.Works("find the tree mounted", `mountpoint -q "$M"`)
	s.Add(`F=$(find "$M" -maxdepth 3 -type f -print -quit 2>/dev/null)`)
	s.Works("read a file of the tree", `head -c 1 "$F"`)
	s.Add(`N=$M/.ringwall-probe-$$`)
}

// onTree is a control of fleet's tree on AWS.
func onTree(try func(*plan.Plan, *perimeter.Script)) *perimeter.AWS {
	return &perimeter.AWS{Try: func(p *plan.Plan, _ *perimeter.Cloud, s *perimeter.Script) {
		tree(p, s)
		try(p, s)
	}}
}

// sh runs one line of shell on F and N.
func sh(line string) string { return "sh -c " + perimeter.Word(line) + ` "$F" "$N"` }

func overwriteOnAWS(_ *plan.Plan, s *perimeter.Script) {
	s.Denied(closedWords, "open a file for appending", sh(`: >>"$0"`))
	s.Denied(closedWords, "open a file for reading and writing", sh(`: <>"$0"`))
	s.Denied(closedWords, "set a file to the length that it has", `truncate -c -s +0 "$F"`)
}

func createOnAWS(p *plan.Plan, s *perimeter.Script) {
	for _, dir := range append([]string{""}, p.Files.Uploads...) {
		where := "the tree"
		if dir != "" {
			where = dir
			s.Add(`N=$M/%s/.ringwall-probe-$$`, shellName(dir))
			s.Add(`if [ -d "${N%/*}" ]; then`)
		}
		s.Denied(readOnlyWords, "make a file in "+where, sh(`: >"$1" && rm -f "$1"`))
		s.Denied(readOnlyWords, "make a directory in "+where, sh(`mkdir "$1" && rmdir "$1"`))
		s.Denied(readOnlyWords, "make a symbolic link in "+where, sh(`ln -s /etc/passwd "$1" && rm -f "$1"`))
		s.Denied(readOnlyWords, "make a pipe in "+where, sh(`mkfifo "$1" && rm -f "$1"`))
		s.Denied(readOnlyWords, "link a file into "+where, sh(`ln "$0" "$1" && rm -f "$1"`))
		if dir != "" {
			s.Add("fi")
		}
	}
}

// renameOnAWS uses a name that does not exist, so that nothing is lost where the
// wall is down: a read-only mount refuses before it looks for the name.
func renameOnAWS(_ *plan.Plan, s *perimeter.Script) {
	s.Add(`took() { # COMMAND...: fails as the kernel does, and works where it looked for the name
  said=$("$@" 2>&1) && return 0
  case $said in *'No such file'*) return 0 ;; esac
  echo "$said" >&2
  return 1
}`)
	s.Denied(readOnlyWords, "delete a file", `took unlink "$N"`)
	s.Denied(readOnlyWords, "delete a directory", `took rmdir "$N"`)
	s.Denied(readOnlyWords, "rename a file", `took python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[1] + "-new")' "$N"`)
}

func attributesOnAWS(_ *plan.Plan, s *perimeter.Script) {
	s.Denied(closedWords, "set a file's mode to what it is", `chmod --reference="$F" "$F"`)
	s.Denied(closedWords, "set a file's owner to what it is", `chown --reference="$F" "$F"`)
	s.Denied(closedWords, "set a file's times to what they are", `touch -c -r "$F" "$F"`)
}

// remountOnAWS mounts the tree a second time, in a mount namespace of its own, as
// root of a captured instance would: writable, beside the access point, and without
// the role's signature. The file system's own policy must refuse, whatever the
// instance says.
func remountOnAWS(_ *plan.Plan, s *perimeter.Script) {
	s.Add(`S=$(awk -v m="$M" '$2 == m { print $1 }' /etc/fstab)`)
	s.Add(`O=$(awk -v m="$M" '$2 == m { print $4 }' /etc/fstab | tr ',' '\n' | grep -Evx 'ro|fsc|_netdev' | paste -s -d , -)`)
	s.Add(`again() { # OPTIONS: mounts the tree there, and makes a file in it
  timeout 60 unshare --mount sh -c '
    d=$(mktemp -d) || exit
    if mount -t efs -o "$1" "$0" "$d"; then
      : >"$d/.ringwall-probe" && rm -f "$d/.ringwall-probe" && echo written
      umount "$d"
    fi
    rmdir "$d"' "$S" "$1" 2>&1 | tee /dev/stderr | grep -qx written
}`)
	words := closedWords + "|[Aa]ccess denied|denied by server"
	s.Works("find how the tree is mounted", `test -n "$S" -a -n "$O"`)
	s.Denied(words, "mount the tree again, writable, and make a file in it", `again "$O,rw"`)
	s.Denied(words, "mount the whole file system, beside the access point", `again "$(printf %s "$O" | tr ',' '\n' | grep -v '^accesspoint=' | paste -s -d , -)"`)
	s.Denied(words, "mount the tree without the role's signature", `again "$(printf %s "$O" | tr ',' '\n' | grep -Evx 'iam|accesspoint=.*' | paste -s -d , -)"`)
}

var noExecOnAWS = &perimeter.AWS{
	Not: func(p *plan.Plan, _ *perimeter.Cloud) string {
		if p.Kind == plan.Command {
			return "the app's own programs lie in the tree, so it is not mounted noexec on AWS; the web server never runs what it serves (webserver/uploads)"
		}
		return ""
	},
	Try: func(p *plan.Plan, _ *perimeter.Cloud, s *perimeter.Script) {
		s.Add("M=%s F=''", perimeter.Word(p.Files.Mount))
		for _, u := range p.Files.Uploads {
			s.Add(`N=$M/%s/.ringwall-probe-$$`, shellName(u))
			s.Works("upload a program to "+u, sh(`printf '#!/bin/sh\nexit 0\n' >"$1" && chmod 755 "$1"`))
			s.Denied("Permission denied", "run it", `"$N"`)
			s.Add(`rm -f "$N"`)
		}
	},
}

var adminWritesOnAWS = &perimeter.AWS{Try: func(p *plan.Plan, _ *perimeter.Cloud, s *perimeter.Script) {
	tree(p, s)
	s.Must("make and remove a file in the tree", sh(`: >"$1" && rm "$1"`))
}}

// shellName is a path of the tree within a word of the shell that has no quotes.
func shellName(dir string) string { return perimeter.Word(path.Clean(dir)) }
