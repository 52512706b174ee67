namespace MergeKit.Core;
