package webserver

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ringwall/ringwall/plan"
)

// Guard is a PHP script that runs in front of every other one on a tier, where
// the web server does not read forms: it refuses what a query or a form asks of
// the administrators' routes. It sees the variables as PHP named them, so nothing
// can be spelled past it. Empty: the tier has nothing to refuse that way.
func Guard(p *plan.Plan, tier string) (string, error) {
	r, err := newRoutes(p, tier)
	if err != nil {
		return "", fmt.Errorf("writing the guard: %w", err)
	}
	if len(r.queries) == 0 {
		return "", nil
	}
	type rule struct {
		Path  string `json:"path"` // regular expression of the folded path; empty: every path
		Key   string `json:"key"`
		Value string `json:"value"` // glob of the folded value
	}
	var rules []rule
	for _, q := range r.queries {
		one := rule{Key: q.key, Value: q.value}
		if q.path != nil {
			one.Path = "~" + strings.TrimSuffix(q.path.strict(), "(?:/|$)") + "~i"
		}
		rules = append(rules, one)
	}
	b, err := json.Marshal(rules)
	if err != nil {
		return "", err
	}
	return strings.NewReplacer("@RULES@", strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(string(b)), "@CLASS@", refuse(ctlAdmin).Reason).Replace(guardPHP), nil
}

const guardPHP = `<?php
// Made by ringwall synth; changes here are lost.
(static function (): void {
    $spellings = static function (string $v): array {
        $all = [];
        for ($n = 0; $n < 6; $n++) {
            $v = str_replace(['\\', "\u{2215}", "\u{2044}", "\u{ff0f}", "\u{ff3c}"], '/', $v);
            $v = preg_replace('/[\x00-\x1f\x7f]|\xc2\xad|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf/', '', $v);
            $v = str_ireplace(["\u{17f}", "\u{212a}", "\u{131}", "\u{130}"], ['s', 'k', 'i', 'i'], $v);
            $v = strtolower(trim($v));
            $clean = [];
            foreach (explode('/', $v) as $part) {
                $part = rtrim(explode(';', $part)[0]);
                if ($part === '..') {
                    array_pop($clean);
                } elseif (rtrim($part, '. ') !== '') {
                    $clean[] = rtrim($part, '. ');
                }
            }
            array_push($all, $v, rtrim($v, '/'), '/' . implode('/', $clean), implode('/', $clean));
            $next = rawurldecode($v);
            if ($next === $v) {
                return $all;
            }
            $v = $next;
        }
        return ['*']; // written too many times over to be meant well
    };
    $flat = static function ($v) use (&$flat): array {
        return is_array($v) ? array_merge([], ...array_map($flat, array_values($v))) : [(string) $v];
    };
    $path = strtolower(rawurldecode((string) strtok($_SERVER['REQUEST_URI'] ?? '/', '?')));
    foreach (json_decode('@RULES@', true, 8, JSON_THROW_ON_ERROR) as $rule) {
        if ($rule['path'] !== '' && preg_match($rule['path'], $path) === 0) {
            continue;
        }
        $pattern = '~^' . str_replace('\*', '.*', preg_quote($rule['value'], '~')) . '$~s';
        foreach ([$_GET, $_POST] as $from) {
            foreach ($from as $key => $value) {
                if (strtolower(str_ireplace(["\u{17f}", "\u{212a}", "\u{131}", "\u{130}"], ['s', 'k', 'i', 'i'], (string) $key)) !== $rule['key']) {
                    continue;
                }
                foreach ($flat($value) as $one) {
                    foreach ($spellings($one) as $spelling) {
                        if ($spelling === '*' || preg_match($pattern, $spelling) !== 0) {
                            $id = $_SERVER['HTTP_X_REQUEST_ID'] ?? '';
                            http_response_code(403);
                            header('Cache-Control: no-store');
                            header('Content-Type: application/json');
                            exit(json_encode(['class' => '@CLASS@', 'request_id' => $id, 'status' => 403]) . "\n");
                        }
                    }
                }
            }
        }
    }
})();
`
