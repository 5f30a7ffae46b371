package database

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"sync"
	"time"
)

// printCache remembers a fingerprint for as long as nothing can have changed it.
type printCache struct {
	mu           sync.Mutex
	stamp, print string
}

// Fingerprint names the set of tables, and on PostgreSQL their rights too. Grant
// is to be called again when it changes. While the app writes nothing, asking
// costs a look at the server's files.
func (s *Server) Fingerprint(ctx context.Context) (string, error) {
	s.prints.mu.Lock()
	defer s.prints.mu.Unlock()
	stamp, changed, err := s.eng.stamp()
	if err != nil {
		return "", fmt.Errorf("looking for new tables: %w", err)
	}
	if stamp == s.prints.stamp && s.prints.print != "" {
		return s.prints.print, nil
	}
	print, err := s.eng.fingerprint(ctx)
	if err != nil {
		return "", fmt.Errorf("looking for new tables: %w", err)
	}
	// A change in the same tick of the file system's clock would go unseen.
	// One in the future is of before the clock was set back.
	if age := time.Since(changed); age.Abs() > time.Second {
		s.prints.stamp, s.prints.print = stamp, print
	}
	return print, nil
}

// Watch grants again whenever the app has added, changed or dropped tables, until
// ctx ends. It tries again after an error, which report is told once.
func (s *Server) Watch(ctx context.Context, every time.Duration, report func(error)) {
	var granted string // the state that Grant has seen
	var told string
	for tick := time.NewTicker(every); ; {
		// The fingerprint is taken before Grant lists the tables, so that no table
		// is missed; on PostgreSQL a Grant that changed something runs once more.
		print, err := s.Fingerprint(ctx)
		if err == nil && print != granted {
			if err = s.Grant(ctx); err == nil {
				granted = print
			}
		}
		if ctx.Err() != nil {
			tick.Stop()
			return
		}
		if err == nil {
			told = ""
		} else if err.Error() != told && report != nil {
			told = err.Error()
			report(err)
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}

// newest is the latest change of a directory's files, and a text that each change
// changes, also one that a clock which was set back says to be older than others.
func newest(dir string) (string, time.Time, error) {
	var last time.Time
	sum := fnv.New64a()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", last, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue
		}
		fmt.Fprintln(sum, e.Name(), info.ModTime().UnixNano())
		if info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return fmt.Sprint(sum.Sum64(), len(entries)), last, nil
}
