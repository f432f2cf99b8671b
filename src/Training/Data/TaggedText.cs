using System.Text;

namespace Phi3VCluster.Training.Data;

/// <summary>A row's pictures, given out to its <c>&lt;image&gt;</c> tags one after the other.</summary>
internal sealed class PictureQueue(IReadOnlyList<IImageSource?> pictures)
{
    public int Count => pictures.Count;

    /// <summary>Asked for so far: more than there are, where tags are too many.</summary>
    public int Taken { get; private set; }

    /// <summary>Null where there are no more, or the picture was refused.</summary>
    public IImageSource? Take() => Taken++ < pictures.Count ? pictures[Taken - 1] : null;
}

/// <summary>A question while its pictures find their places: every <c>&lt;image&gt;</c> becomes the tag of a picture's number.</summary>
internal sealed class TaggedText(JsonRow into, string at)
{
    public const string Tag = "<image>";

    private readonly StringBuilder _text = new();
    private readonly List<IImageSource?> _images = [];

    public string Text => _text.ToString();

    public IReadOnlyList<IImageSource> Images => [.. _images.OfType<IImageSource>()];

    /// <summary>A text whose tags take pictures of the row.</summary>
    public void Add(string text, PictureQueue pictures)
    {
        if (ImageTags.AreIn(text))
            into.Refuse($"{at}holds {ImageTags.Of(ImageTags.Find(text)[0].Number)}; write {Tag} where a picture belongs.");
        foreach (var (part, number) in text.Split(Tag).Select((part, number) => (part, number)))
        {
            if (number > 0) Add(pictures.Take());
            _text.Append(part);
        }
    }

    /// <summary>A picture in this place; null for one that was refused.</summary>
    public void Add(IImageSource? picture)
    {
        _images.Add(picture);
        _text.Append(ImageTags.Of(_images.Count));
    }

    public void AddLine()
    {
        if (_text.Length > 0) _text.Append('\n');
    }
}
