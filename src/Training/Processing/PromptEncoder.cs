using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Processing;

/// <summary>
/// Prompts with <c>&lt;|image_k|&gt;</c> tags to ids: the text is split at the tags, each piece encoded on its own with its own BOS, and
/// image k put in as a run of −k.
/// </summary>
public sealed class PromptEncoder(Tokenizer tokenizer)
{
    /// <summary>Appends the prompt's ids.</summary>
    /// <param name="tokenCounts">Image tokens of image 1, 2, …</param>
    /// <returns>The image of each run of placeholders, from 0, in the order of the runs.</returns>
    /// <exception cref="InputException">The tags are not those of images 1 … n.</exception>
    public IReadOnlyList<int> Encode(TaggedPrompt prompt, IReadOnlyList<int> tokenCounts, List<long> ids, string description)
    {
        var (text, tags) = prompt;
        if (ImageTags.Problem(tags, tokenCounts.Count) is { } problem) throw new InputException($"{description}: {problem}");
        var done = 0;
        foreach (var (begin, end, image) in tags)
        {
            tokenizer.Encode(text[done..begin], addBos: true, ids);
            ids.AddRange(Enumerable.Repeat(-(long)image, tokenCounts[image - 1]));
            done = end;
        }
        tokenizer.Encode(text[done..], addBos: true, ids);
        return [.. tags.Select(tag => tag.Number - 1)];
    }
}
