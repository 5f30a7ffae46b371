<?php
/**
 * Plugin Name: Ringwall
 * Description: Tells WordPress what it cannot find out from behind the walls.
 */

defined( 'ABSPATH' ) || exit;

// The web server sends what is no file to index.php; there is no .htaccess.
add_filter( 'got_url_rewrite', '__return_true' );
add_filter( 'flush_rewrite_rules_hard', '__return_false' );

// The installer asks the site for a page to see whether pretty addresses work.
// An instance may not dial the edge, so the answer is given here.
add_filter(
	'pre_http_request',
	function ( $answer, $args, $url ) {
		if ( wp_installing() && 0 === strpos( $url, home_url( '/' ) ) ) {
			return array(
				'headers'  => array( 'x-pingback' => get_bloginfo( 'pingback_url' ) ),
				'body'     => '',
				'response' => array( 'code' => 200, 'message' => 'OK' ),
				'cookies'  => array(),
			);
		}
		return $answer;
	},
	10,
	3
);

// The installer writes the rules of addresses before it knows those of categories.
add_action(
	'wp_install',
	function () {
		delete_option( 'rewrite_rules' ); // the next request writes them anew
	}
);

// An administrator may use another host name than visitors do. Addresses of our
// own uploads are stored without a host, and get the reader's own in feeds.
add_filter(
	'content_save_pre',
	function ( $content ) {
		return str_replace( home_url( '/wp-content/' ), '/wp-content/', $content );
	}
);
add_filter(
	'the_content_feed',
	function ( $content ) {
		return preg_replace( '~\b(src|href)="/wp-content/~', '$1="' . esc_url( home_url( '/wp-content/' ) ), $content );
	}
);

// Fleet may not write options. It keeps for the length of a request what it would
// store there for a while.
if ( 'admin' !== getenv( 'RINGWALL_TIER' ) ) {
	wp_using_ext_object_cache( true );
}

// What fleet wants stored and may not write, admin writes when the timed tasks
// run: how many comments a post has, and what pages look for at each request.
add_action(
	'init',
	function () {
		global $wpdb;
		if ( ! wp_doing_cron() || 'admin' !== getenv( 'RINGWALL_TIER' ) ) {
			return;
		}
		$posts = $wpdb->get_col(
			"SELECT p.ID FROM $wpdb->posts p LEFT JOIN
				(SELECT comment_post_ID, COUNT(*) AS n FROM $wpdb->comments WHERE comment_approved = '1' GROUP BY comment_post_ID) c
				ON c.comment_post_ID = p.ID
			WHERE p.comment_count <> COALESCE(c.n, 0) LIMIT 100"
		);
		foreach ( $posts as $post ) {
			wp_update_comment_count_now( $post );
		}
		wp_get_custom_css_post();
		foreach ( get_taxonomies( array( 'hierarchical' => true ) ) as $taxonomy ) {
			_get_term_hierarchy( $taxonomy );
		}
	},
	99
);
