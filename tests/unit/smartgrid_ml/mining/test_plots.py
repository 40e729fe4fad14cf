import base64

from smartgrid_ml.mining.plots import create_figure, embed_figure


def test_a_figure_stands_within_markdown_as_a_picture_of_its_own():
    figure = create_figure()
    figure.add_subplot().plot([1, 2, 3])

    told = embed_figure(figure, about="three points")

    head, data = told.removesuffix(")").split(",", maxsplit=1)
    assert head == "![three points](data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
