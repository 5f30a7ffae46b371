// Package all lists the eleven perimeters, outside in.
package all

import (
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/application"
	"github.com/ringwall/ringwall/perimeter/balancer"
	"github.com/ringwall/ringwall/perimeter/database"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/perimeter/files"
	"github.com/ringwall/ringwall/perimeter/host"
	"github.com/ringwall/ringwall/perimeter/instance"
	"github.com/ringwall/ringwall/perimeter/network"
	"github.com/ringwall/ringwall/perimeter/people"
	"github.com/ringwall/ringwall/perimeter/vpc"
	"github.com/ringwall/ringwall/perimeter/webserver"
)

// Perimeters are the eleven walls in the order in which a request meets them.
var Perimeters = []*perimeter.Perimeter{
	people.Perimeter,
	network.Perimeter,
	edge.Perimeter,
	vpc.Perimeter,
	balancer.Perimeter,
	instance.Perimeter,
	host.Perimeter,
	files.Perimeter,
	webserver.Perimeter,
	database.Perimeter,
	application.Perimeter,
}

// Control returns the control of that id and its perimeter, or nil.
func Control(id string) (*perimeter.Perimeter, *perimeter.Control) {
	for _, p := range Perimeters {
		for _, c := range p.Controls {
			if c.ID == id {
				return p, c
			}
		}
	}
	return nil, nil
}
