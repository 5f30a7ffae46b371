// Package supervise keeps one process running: it starts it again when it ends,
// at first at once and then with growing pauses, and stops it when asked. It
// knows nothing of what the process does.
package supervise

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// A Process is something that was started and will end.
type Process interface {
	PID() int
	Wait() error // the reason it ended; nil for exit status 0
	Signal(os.Signal) error
	Kill() error // ends it and everything it started, at once
}

// State is what a Part is doing.
type State string

const (
	Starting State = "starting"
	Running  State = "running"
	Waiting  State = "waiting" // before it is started again
	Stopped  State = "stopped"
)

// Status is a Part's state at one moment.
type Status struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	PID      int       `json:"pid,omitempty"`
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
	LastExit string    `json:"last_exit,omitempty"`
}

// A Part is one process that is kept running. Its fields are set before Run.
type Part struct {
	Name        string
	Start       func() (Process, error)
	Grace       time.Duration  // between SIGTERM and SIGKILL; 0: 5 s
	Term        syscall.Signal // the signal that asks it to end; 0: SIGTERM
	Again       time.Duration  // send Term again after this time: the first process of a namespace never gets one that comes before its handler; 0: once
	Note        func(Status)   // called at every change, in order; may be nil
	First, Most time.Duration  // pauses: after the second failure in a row, and the longest; 0: 50 ms and 10 s

	mu     sync.Mutex
	status Status
	proc   Process
	asked  bool // its end was asked for, and is no failure
	stop   chan struct{}
	once   sync.Once
	done   chan struct{}
}

// Run starts the process and keeps it running until Stop. It returns at once with
// the first start's error, if that fails.
func (p *Part) Run() error {
	p.stop, p.done = make(chan struct{}), make(chan struct{})
	if p.Grace == 0 {
		p.Grace = 5 * time.Second
	}
	if p.Term == 0 {
		p.Term = syscall.SIGTERM
	}
	if p.First == 0 {
		p.First = 50 * time.Millisecond
	}
	if p.Most == 0 {
		p.Most = 10 * time.Second
	}
	p.set(Starting, 0, "")
	proc, err := p.Start()
	if err != nil {
		p.set(Stopped, 0, err.Error())
		close(p.done)
		return err
	}
	p.adopt(proc)
	go p.keep(proc)
	return nil
}

func (p *Part) keep(proc Process) {
	defer close(p.done)
	pause, began := time.Duration(0), time.Now()
	for {
		ended := make(chan error, 1)
		go func() { ended <- proc.Wait() }()
		var err error
		select {
		case err = <-ended:
		case <-p.stop:
			p.end(proc, ended)
			p.set(Stopped, 0, "")
			return
		}
		p.mu.Lock()
		if p.asked || time.Since(began) > 10*time.Second {
			pause = 0
		}
		p.asked = false
		p.mu.Unlock()
		for {
			p.wait(pause, err)
			select {
			case <-p.stop:
				p.set(Stopped, 0, "")
				return
			case <-time.After(pause):
			}
			pause = min(max(2*pause, p.First), p.Most)
			began = time.Now()
			proc, err = p.Start()
			if err == nil {
				break
			}
		}
		p.mu.Lock()
		p.status.Restarts++
		p.mu.Unlock()
		p.adopt(proc)
	}
}

// end asks a process to end, and ends it when it does not.
func (p *Part) end(proc Process, ended <-chan error) {
	grace := time.After(p.Grace)
	for {
		proc.Signal(p.Term)
		var again <-chan time.Time
		if p.Again > 0 {
			again = time.After(p.Again)
		}
		select {
		case <-ended:
			return
		case <-again:
		case <-grace:
			proc.Kill()
			<-ended
			return
		}
	}
}

func (p *Part) adopt(proc Process) {
	p.mu.Lock()
	p.proc = proc
	p.mu.Unlock()
	p.set(Running, proc.PID(), "")
}

func (p *Part) wait(pause time.Duration, err error) {
	text := "it ended by itself"
	if err != nil {
		text = err.Error()
	}
	if pause > 0 {
		text = fmt.Sprintf("%s; started again in %v", text, pause)
	}
	p.set(Waiting, 0, text)
}

func (p *Part) set(s State, pid int, exit string) {
	p.mu.Lock()
	p.status.Name, p.status.State, p.status.PID, p.status.Since = p.Name, s, pid, time.Now()
	if exit != "" {
		p.status.LastExit = exit
	}
	st := p.status
	p.mu.Unlock()
	if p.Note != nil {
		p.Note(st)
	}
}

// Status says what the part is doing.
func (p *Part) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// Kill ends the present process at once; it is started again without a pause.
func (p *Part) Kill() {
	p.mu.Lock()
	proc := p.proc
	p.asked = true
	p.mu.Unlock()
	if proc != nil {
		proc.Kill()
	}
}

// Restart asks the present process to end, and returns when another runs or the
// part is stopped.
func (p *Part) Restart() {
	p.mu.Lock()
	proc, before := p.proc, p.status.Restarts
	p.asked = true
	p.mu.Unlock()
	if proc == nil {
		return
	}
	proc.Signal(p.Term)
	for end := time.Now().Add(p.Grace); ; time.Sleep(5 * time.Millisecond) {
		s := p.Status()
		if s.State == Stopped || s.State == Running && s.Restarts > before {
			return
		}
		if time.Now().After(end) {
			proc.Kill()
		}
	}
}

// Stop ends the process, politely for the length of Grace, and waits for it. It
// may be called more than once, and before Run.
func (p *Part) Stop() {
	if p.stop == nil {
		return
	}
	p.once.Do(func() { close(p.stop) })
	<-p.done
}
