-- What was written for a piece: a script or a post, and the model that wrote it.
select
    piece_id,
    'script' as step,
    title,
    model,
    inputs_sha256
from {{ lake('scripts') }}
union all
select
    piece_id,
    'post' as step,
    title,
    model,
    inputs_sha256
from {{ lake('blog_posts') }}
