"""ShapeScenes: a procedural open-vocabulary world of textured stuff and colored shapes.

Top down: ``splits`` says what there is, ``scene`` draws the plan of an image from a seed,
``render`` paints it, ``captions`` describes it, ``writer`` writes the files. ``classes`` and
``label_sets`` hold the words. ``docs/shapescenes.md`` shows the result.
"""
